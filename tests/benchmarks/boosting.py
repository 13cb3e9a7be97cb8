"""Whether the estimators of shapiq have the boosted trees that they are meant to have."""

from typing import Any


def assert_boosted(engine: Any) -> None:
    """Without lightgbm or xgboost, shapiq falls back to one decision tree, with a warning."""
    for name in ("proxy_model", "_surrogate_template"):
        proxy = getattr(engine, name, None)
        proxy = getattr(proxy, "estimator", proxy)  # inside of a grid search
        assert proxy is None or type(proxy).__module__.startswith(("lightgbm", "xgboost")), proxy
