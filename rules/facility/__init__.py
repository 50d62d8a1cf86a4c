"""Rules about place, bill type, revenue and device codes."""
