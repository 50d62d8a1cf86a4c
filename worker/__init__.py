"""The shell around the rules: Kafka, bytes, the command line."""
