"""Prefect tasks around ``lavad_core``: what a run does, as it appears in the orchestrator. No algorithm here."""
