"""What the webhook service and the controller share."""
