"""Rules about identity and completeness of the claim."""
