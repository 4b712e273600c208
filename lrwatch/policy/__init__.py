"""Decisions: rules turn verdicts into wishes, guardrails refuse what may not be, outcomes are followed up."""
