"""Rules about prior authorization."""
