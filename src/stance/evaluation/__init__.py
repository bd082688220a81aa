"""Metrics with their uncertainty, and the reports made from them."""
