"""What `run.json` must look like before anything in it is used."""

from __future__ import annotations

from headspex.settings import LARGEST_BUDGET, MOST_ROUNDS
from headspex.support.schema import (
    either,
    number,
    optional,
    record,
    rows,
    table,
    text,
    truth,
    whole,
)

_PASSES = whole(0, LARGEST_BUDGET)
_COUNT = whole(0, 1 << 24)  # of players, layers, questions, masks that are judged
_R2 = record({"r2": number, "low": number, "high": number})

IDENTITY = record(
    {
        "model": text,
        "revision": optional(text),
        "task": text,
        "subjects": rows(text),
        "data_dir": optional(text),
        "shots": whole(0, 5),
        "unit": text,
        "layers": optional(text),
        "questions_per_mask": either(text, _PASSES),
        "keep": either(text, number),
        "ablation": text,
        "rescale": truth,
        "protocol": optional(text),
        "metric": text,
        "chat_template": truth,
        "prune": truth,
        "refine": whole(0, MOST_ROUNDS),
        "seed": whole(0, 1 << 64),
        "threads": whole(1, 1 << 16),
        "look_every": optional(_PASSES),
        "stop_at_faithfulness": optional(number),
        "n_players": _COUNT,
        "n_search": _COUNT,
        "n_heldout": _COUNT,
        "n_fresh": _COUNT,
        "n_watched": _COUNT,
        "look_step": _PASSES,
        "sizes": rows(_COUNT),
        "search_budget": _PASSES,
        "device": text,
        "dtype": text,
        "versions": table(text),
        "weights": text,
        "tokenizer": text,
        "questions": text,
        "commit": optional(text),
    },
    later={
        "adapter": optional(text),
        "quantised": optional(text),
        "may_cost": optional(number),
        "fresh_search": _COUNT,
        "fresh_heldout": _COUNT,
        "n_compared": _COUNT,
    },
)

ALLOCATION = record(
    {
        "keep": number,
        "questions_per_mask": _COUNT,
        "n_masks": whole(0, 1 << 32),
        "n_pilot": _COUNT,
        "pilot_questions": _COUNT,
        "pilot_passes": _PASSES,
        "probes": rows(
            record(
                {
                    "keep": number,
                    "masks": _COUNT,
                    "score": number,
                    "low": number,
                    "between": number,
                    "within": number,
                }
            )
        ),
        "reasons": rows(text),
        "looks": rows(
            record(
                {
                    "passes": _PASSES,
                    "r2": optional(number),
                    "low": optional(number),
                    "high": optional(number),
                }
            )
        ),
        "ended": truth,
    }
)

RESULTS = record(
    {
        "command": text,
        "players": _COUNT,
        "unit": text,
        "layers": rows(_COUNT),
        "n_layers": whole(1, 1 << 20),
        "n_heads": whole(1, 1 << 20),
        "n_kv_heads": optional(whole(1, 1 << 20)),
        "passes": _PASSES,
        "passes_total": whole(0, 4 * LARGEST_BUDGET),
        "keep": number,
        "questions_per_mask": _COUNT,
        "n_fresh": _COUNT,
        "n_search": _COUNT,
        "n_heldout": _COUNT,
        "metric": text,
        "allocation": ALLOCATION,
        "faithfulness": optional(_R2),
        "transfer": optional(_R2),
        "unpruned": number,
        "unpruned_low": number,
        "unpruned_high": number,
        "own_metric": text,
        "refine_passes": _PASSES,
        "free": optional(_COUNT),
        "curve": rows(record({"n_pruned": _COUNT})),
        "chance": optional(number),
        "at_chance": truth,
        "energy": record({"linear": number, "within": number, "across": number, "basis": text}),
    },
    later={"may_cost": number, "loss_at_most": table(number)},
)

PARTS = {
    "identity": IDENTITY,
    "allocation": ALLOCATION,
    "results": RESULTS,
    "files": table(text),
}
