"""The rule language: source columns to entities to target columns."""
