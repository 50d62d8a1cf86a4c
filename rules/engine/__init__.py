"""The machinery of the rules; a rule's author never needs to open it."""
