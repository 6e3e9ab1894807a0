"""Memory profiles, which say what parts of the network are on the GPU in which stage. Does not import torch.

A part is one module tree with weights. A stage is one step of a run, in upstream's order. From the tables here,
`residency` moves the parts, and `plan` adds up their bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

# Stages of a run, in upstream's order.
Stage = Literal["depth", "ss_condition", "ss_sample", "slat_condition", "slat_sample", "mesh", "gaussians"]
# Parts of the network.
Part = Literal[
    "depth_model",
    "ss_condition_embedder",
    "ss_generator",
    "ss_decoder",
    "slat_condition_embedder",
    "slat_generator",
    "slat_decoder_mesh",
    "slat_decoder_gs",
]
ProfileName = Literal["32gb", "24gb", "16gb", "12gb"]
# Parts that stay on the GPU from one stage to the next: all of them; those of the stages before the decoders; none.
Keep = Literal["all", "diffusion", "none"]

STAGES: tuple[Stage, ...] = get_args(Stage)
PARTS: tuple[Part, ...] = get_args(Part)

# Parts that each stage computes with, after InferencePipelinePointMap.run and the methods that it calls, in their
# order.
NEEDS: dict[Stage, frozenset[Part]] = {
    "depth": frozenset({"depth_model"}),
    "ss_condition": frozenset({"ss_condition_embedder"}),
    "ss_sample": frozenset({"ss_generator", "ss_decoder"}),
    "slat_condition": frozenset({"slat_condition_embedder"}),
    "slat_sample": frozenset({"slat_generator"}),
    "mesh": frozenset({"slat_decoder_mesh"}),
    "gaussians": frozenset({"slat_decoder_gs"}),
}
# Stages before the decoders.
DIFFUSION: frozenset[Stage] = frozenset({"depth", "ss_condition", "ss_sample", "slat_condition", "slat_sample"})


@dataclass(frozen=True)
class Profile:
    """Use of a card of `card_bytes`.

    keep: what stays on the GPU together, beside the parts of the running stage. With `all`, recorded steps stay too,
    because no weight moves. The parts of `diffusion` leave before the mesh is decoded, because that working set is the
    largest.
    decode_rows: rows that the mesh decoder's widest layers process at once; None for all rows, as upstream.
    """

    name: ProfileName
    card_bytes: int
    keep: Keep
    decode_rows: int | None

    def residents(self, stage: Stage) -> frozenset[Part]:
        """Return the parts that are on the GPU while `stage` runs."""
        if self.keep == "all":
            return frozenset(PARTS)
        if self.keep == "diffusion" and stage in DIFFUSION:
            return frozenset().union(*(NEEDS[other] for other in DIFFUSION))
        return NEEDS[stage]

    def cheaper(self, stage: Stage) -> Profile | None:
        """Return the next profile in which `stage` needs less, or the next profile if it needs the same in all of them.

        None for the profile of the smallest card.
        """
        later = list(PROFILES.values())[list(PROFILES).index(self.name) + 1 :]
        leaner = (profile for profile in later if profile._cost(stage) != self._cost(stage))
        return next(leaner, later[0] if later else None)

    def _cost(self, stage: Stage) -> object:
        return self.residents(stage), self.decode_rows if stage == "mesh" else None


# From the largest card to the smallest. 262,144 rows of the mesh decoder's last layers (96 channels, float32) are
# 100 MB.
PROFILES: dict[ProfileName, Profile] = {
    "32gb": Profile("32gb", 32 * 10**9, keep="all", decode_rows=None),
    "24gb": Profile("24gb", 24 * 10**9, keep="diffusion", decode_rows=None),
    "16gb": Profile("16gb", 16 * 10**9, keep="none", decode_rows=None),
    "12gb": Profile("12gb", 12 * 10**9, keep="none", decode_rows=262_144),
}


def fitting(total_bytes: int) -> Profile:
    """Return the profile for a card of `total_bytes`: that of the largest card whose size it reaches within 5 %.

    A card below all sizes gets the profile of the smallest.
    """
    # Cards sold as 24 GB report a little more or less than 24e9 bytes (an RTX 4090: 25.3e9, an A10G: 23.7e9).
    return next((p for p in PROFILES.values() if total_bytes >= 0.95 * p.card_bytes), PROFILES["12gb"])
