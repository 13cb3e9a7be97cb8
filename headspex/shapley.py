def shapley_values(*a, **k):
    raise NotImplementedError
