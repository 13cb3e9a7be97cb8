"""Mean scores over questions, over subjects, and by MMLU's categories."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from headspex.tasks.questions import Question
from headspex.tasks.task_types import Scores

# As in lm-eval's groups and the paper's table 7.
CATEGORIES: dict[str, tuple[str, ...]] = {
    "stem": (
        "abstract_algebra", "anatomy", "astronomy", "college_biology", "college_chemistry",
        "college_computer_science", "college_mathematics", "college_physics", "computer_security",
        "conceptual_physics", "electrical_engineering", "elementary_mathematics",
        "high_school_biology", "high_school_chemistry", "high_school_computer_science",
        "high_school_mathematics", "high_school_physics", "high_school_statistics",
        "machine_learning",
    ),
    "humanities": (
        "formal_logic", "high_school_european_history", "high_school_us_history",
        "high_school_world_history", "international_law", "jurisprudence", "logical_fallacies",
        "moral_disputes", "moral_scenarios", "philosophy", "prehistory", "professional_law",
        "world_religions",
    ),
    "social_sciences": (
        "econometrics", "high_school_geography", "high_school_government_and_politics",
        "high_school_macroeconomics", "high_school_microeconomics", "high_school_psychology",
        "human_sexuality", "professional_psychology", "public_relations", "security_studies",
        "sociology", "us_foreign_policy",
    ),
    "other": (
        "business_ethics", "clinical_knowledge", "college_medicine", "global_facts", "human_aging",
        "management", "marketing", "medical_genetics", "miscellaneous", "nutrition",
        "professional_accounting", "professional_medicine", "virology",
    ),
}  # fmt: skip


def averages(questions: Sequence[Question], scores: Scores) -> dict[str, Any]:
    """`{"micro", "macro", "subjects": {...}, "categories": {...}}`.

    `micro` is the mean over questions, `macro` the mean over subjects; a category is the mean over
    its questions, as in lm-eval. There are no categories if a subject is not one of MMLU's.
    """
    subjects = list(dict.fromkeys(question.subject for question in questions))
    by_subject = {s: _mean(scores[np.array([q.subject == s for q in questions])]) for s in subjects}
    known = {s for members in CATEGORIES.values() for s in members}
    categories = {}
    if known.issuperset(subjects):
        for name, members in CATEGORIES.items():
            mine = np.array([question.subject in members for question in questions])
            if mine.any():
                categories[name] = _mean(scores[mine])
    return {
        "micro": float(scores.mean()),
        "macro": float(np.mean([mean["score"] for mean in by_subject.values()])),
        "subjects": by_subject,
        "categories": categories,
    }


def _mean(scores: Scores) -> dict[str, Any]:
    return {"score": float(scores.mean()), "n_questions": len(scores)}
