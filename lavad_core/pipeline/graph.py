"""Which stages a configuration needs, and so the key of every result before anything runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from lavad_core.config.schema import LavadConfig
from lavad_core.models.random_models import PREFIX
from lavad_core.stages.node import Graph, Node, final_scores_node
from lavad_core.stages.registry import STAGES


def build_graph(config: LavadConfig, identities: Mapping[str, str]) -> Graph:
    """The nodes that ``config.run.targets`` need; where there are labels, also those that metrics need.

    Args:
        identities: role to model identity, for every role that occurs (``models.kinds``).
    """
    nodes = [
        Node(stage=name, version=stage.VERSION, **vars(reads))
        for name, stage in STAGES.items()
        for reads in stage.reads(config)
    ]
    final = final_scores_node(config)
    # Where nothing is smoothed, smoothed scores are the final ones all the same.
    targets = {final if target == "smooth" else target for target in config.run.targets}
    if "evaluate" in targets or config.evaluate.labels is not None:
        targets.add(final)  # the metrics of a set are not a node of a video; these scores are what they need of each
    wanted: set[str] = set()
    for node in reversed(nodes):
        if node.stage in targets or node.id in wanted:
            wanted |= {node.id, *node.inputs}
    kept = tuple(node for node in nodes if node.id in wanted)
    return Graph(kept, {role: identities[role] for role in sorted({node.role for node in kept if node.role})})


def needed_roles(config: LavadConfig) -> tuple[str, ...]:
    """Roles of the models that a configuration needs, without knowing which models they are."""
    return tuple(build_graph(config, dict.fromkeys(config.models, "?")).identities)


def random_models(config: LavadConfig) -> list[str]:
    """Names of the models that a configuration needs and that are random: scores mean nothing then."""
    models = [config.models[role].model for role in needed_roles(config)]
    return [model for model in models if model.startswith(PREFIX)]
