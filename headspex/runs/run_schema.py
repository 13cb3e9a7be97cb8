"""The schema of `run.json`, checked before its content is used."""

from __future__ import annotations

from headspex.settings import LARGEST_BUDGET, MOST_ROUNDS
from headspex.support.validation import (
    NUMBER,
    TRUTH,
    either,
    optional,
    record,
    rows,
    table,
    text,
    whole_number,
)

TEXT = text()
_PASSES = whole_number(0, LARGEST_BUDGET)
_COUNT = whole_number(0, 1 << 24)  # of players, layers, questions, judged masks
_R2 = record({"r2": NUMBER, "low": NUMBER, "high": NUMBER})
_BOUNDS = {"value": NUMBER, "low": NUMBER, "high": NUMBER}
_MIB = record(
    {
        "metric": TEXT,
        "none": NUMBER,
        "whole": NUMBER,
        "cpr": optional(record(_BOUNDS)),
        "cmd": optional(record(_BOUNDS)),
        "f": rows(record({"share": NUMBER, "kept": _COUNT, **_BOUNDS})),
    }
)

IDENTITY = record(
    {
        "model": TEXT,
        "revision": optional(TEXT),
        "task": TEXT,
        "subjects": rows(TEXT),
        "data_dir": optional(TEXT),
        "shots": whole_number(0, 5),
        "unit": TEXT,
        "layers": optional(TEXT),
        "questions_per_mask": either(TEXT, _PASSES),
        "keep": either(TEXT, NUMBER),
        "ablation": TEXT,
        "rescale": TRUTH,
        "protocol": optional(TEXT),
        "metric": TEXT,
        "chat_template": TRUTH,
        "prune": TRUTH,
        "refine": whole_number(0, MOST_ROUNDS),
        "seed": whole_number(0, 1 << 64),
        "threads": whole_number(1, 1 << 16),
        "look_every": optional(_PASSES),
        "stop_at_faithfulness": optional(NUMBER),
        "n_players": _COUNT,
        "n_search": _COUNT,
        "n_heldout": _COUNT,
        "n_fresh": _COUNT,
        "n_watched": _COUNT,
        "look_step": _PASSES,
        "sizes": rows(_COUNT),
        "search_budget": _PASSES,
        "device": TEXT,
        "dtype": TEXT,
        "versions": table(TEXT),
        "weights": TEXT,
        "tokenizer": TEXT,
        "questions": TEXT,
        "commit": optional(TEXT),
    },
    later={
        "prompt_style": TEXT,
        "adapter": optional(TEXT),
        "quantised": optional(TEXT),
        "load_in": TEXT,
        "may_cost": optional(NUMBER),
        "fresh_search": _COUNT,
        "fresh_heldout": _COUNT,
        "n_compared": _COUNT,
        "circuit_sizes": rows(_COUNT),
    },
)

ALLOCATION = record(
    {
        "keep": NUMBER,
        "questions_per_mask": _COUNT,
        "n_masks": whole_number(0, 1 << 32),
        "n_pilot": _COUNT,
        "pilot_questions": _COUNT,
        "pilot_passes": _PASSES,
        "probes": rows(
            record(
                {
                    "keep": NUMBER,
                    "masks": _COUNT,
                    "score": NUMBER,
                    "low": NUMBER,
                    "between": NUMBER,
                    "within": NUMBER,
                }
            )
        ),
        "reasons": rows(TEXT),
        "looks": rows(
            record(
                {
                    "passes": _PASSES,
                    "r2": optional(NUMBER),
                    "low": optional(NUMBER),
                    "high": optional(NUMBER),
                }
            )
        ),
        "ended": TRUTH,
    },
    later={"n_gradients": _COUNT},
)

RESULTS = record(
    {
        "command": TEXT,
        "players": _COUNT,
        "unit": TEXT,
        "layers": rows(_COUNT),
        "n_layers": whole_number(1, 1 << 20),
        "n_heads": whole_number(1, 1 << 20),
        "n_kv_heads": optional(whole_number(1, 1 << 20)),
        "passes": _PASSES,
        "passes_total": whole_number(0, 4 * LARGEST_BUDGET),
        "keep": NUMBER,
        "questions_per_mask": _COUNT,
        "n_fresh": _COUNT,
        "n_search": _COUNT,
        "n_heldout": _COUNT,
        "metric": TEXT,
        "allocation": ALLOCATION,
        "faithfulness": optional(_R2),
        "transfer": optional(_R2),
        "unpruned": NUMBER,
        "unpruned_low": NUMBER,
        "unpruned_high": NUMBER,
        "own_metric": TEXT,
        "refine_passes": _PASSES,
        "free": optional(_COUNT),
        "curve": rows(record({"n_pruned": _COUNT})),
        "chance": optional(NUMBER),
        "at_chance": TRUTH,
        "energy": record({"linear": NUMBER, "within": NUMBER, "across": NUMBER, "basis": TEXT}),
    },
    later={"may_cost": NUMBER, "loss_at_most": table(NUMBER), "objective": TEXT, "mib": _MIB},
)

PARTS = {
    "identity": IDENTITY,
    "allocation": ALLOCATION,
    "results": RESULTS,
    "files": table(TEXT),
}
