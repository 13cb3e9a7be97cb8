"""What a run would cost, for `--dry-run`: passes, arithmetic, time, memory."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from headspex.study import Study
from headspex.units import plural

_PROBE_ROWS = 64  # scored once to learn the speed of this machine


@dataclass(frozen=True)
class Costs:
    """An estimate; times are of this machine."""

    players: int
    unit: str
    passes: int
    passes_total: int
    flops: float
    seconds: float
    bytes: int

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.players} {plural(self.unit)}, at most {self.passes:,} passes of pilot and "
            f"search, {self.passes_total:,} in all\n"
            f"about {self.flops:.2g} FLOPs, {self.seconds / 60:.1f} minutes and "
            f"{self.bytes / 2**30:.1f} GiB for model and batches on this machine"
        )


def costs(study: Study) -> Costs:
    """Estimate a run; scores 64 rows of the whole model to learn the speed."""
    from headspex.hooks import measure, prepare
    from headspex.hooks.budget import tokens_of

    plan, model = study.plan, study.model
    passes_total = plan.passes_total(study.settings.refine, by_slopes=study.has_slopes)
    search, heldout = study.questions
    asked = search + heldout
    sample = asked[:: -(-len(asked) // _PROBE_ROWS)]  # of all subjects: their lengths differ
    encoded = study.encode(sample)
    tokens = sum(min(len(e.context), model.n_ctx) for e in encoded) / len(encoded)
    prepared = prepare(model, encoded)
    measure(prepared, encoded)  # the first call pays for allocations
    begin = time.perf_counter()
    measure(prepared, encoded)
    per_pass = (time.perf_counter() - begin) / len(encoded)
    weights = list(model.bridge.original_model.parameters())
    size = sum(p.numel() for p in weights)
    config = model.bridge.original_model.config
    batch = tokens_of(weights[0].device)
    # Residual stream, attention inputs and the MLP's widest layer of one batch.
    width = 6 * config.hidden_size + 2 * config.intermediate_size
    return Costs(
        players=plan.n_players,
        unit=study.settings.unit,
        passes=plan.search_budget,
        passes_total=passes_total,
        flops=2.0 * size * tokens * passes_total,
        seconds=per_pass * passes_total,
        bytes=int(sum(p.nbytes for p in weights) + batch * width * weights[0].element_size()),
    )
