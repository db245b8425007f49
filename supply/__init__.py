"""What the project is made of: vulnerabilities of its packages, the digest of its base image. For developers only."""
