"""The stages: each file reads inputs from the store, calls the pure functions of ``method`` and the models, and writes one
result. :data:`lavad_core.stages.registry.STAGES` has them by name; docs/stages.md says how one is added."""
