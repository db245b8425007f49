"""The certificates the API server trusts: from a folder, kept in a Secret, or of this process alone.

`making` makes authorities and certificates, `pair` checks what is to be served, `live` is the TLS context in use.
A folder is followed by `folder`. Certificates of the service's own are a state in a Secret (`kept`), pure decisions
about it (`rotation`), the caBundle of the webhook configurations (`bundles`) and the loop that does it (`keeper`).
"""
