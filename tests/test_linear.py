"""Linear layers of the fast path: oneDNN's products are those of torch, and so are derivatives."""

import copy
from typing import Any

import pytest
import torch
from torch import nn

from headspex.hooks import linear


class Two(nn.Module):
    """torch's linear layer, then that of GPT-2."""

    def __init__(self) -> None:
        from transformers.pytorch_utils import Conv1D

        super().__init__()
        torch.manual_seed(0)
        self.first, self.second = nn.Linear(48, 96), Conv1D(24, 96)
        nn.init.normal_(self.second.bias)

    def forward(self, x: torch.Tensor) -> Any:
        return self.second(torch.tanh(self.first(x)))


@pytest.fixture
def plain() -> Two:
    return Two().requires_grad_(False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[torch.Size]:
    """Shapes of the inputs that oneDNN was given."""
    found: list[torch.Size] = []
    real = linear._onednn

    def recorded(x: torch.Tensor, *others: Any) -> torch.Tensor:
        found.append(x.shape)
        return real(x, *others)

    monkeypatch.setattr(linear, "_onednn", recorded)
    return found


def fast(model: nn.Module) -> nn.Module:
    if linear._product() is None:
        pytest.skip("this torch has no oneDNN")
    found = copy.deepcopy(model)
    linear.use_onednn(found)
    return found


@pytest.mark.parametrize("shape", [(1, 48), (5, 7, 48), (0, 48), (2, 300, 48)])
def test_values_and_derivatives_are_those_of_torch(
    shape: tuple[int, ...], plain: Two, calls: list[torch.Size]
) -> None:
    x = torch.randn(shape)
    mine, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    found, expected = fast(plain)(mine), plain(theirs)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    expected.square().sum().backward()
    torch.testing.assert_close(mine.grad, theirs.grad)
    assert len(calls) == 4  # twice forward, twice backward


def test_inputs_that_are_not_contiguous_are_multiplied_as_they_are(plain: Two) -> None:
    x = torch.randn(3, 48, 5).transpose(1, 2)
    torch.testing.assert_close(fast(plain)(x), plain(x))


def test_other_types_stay_with_torch(plain: Two, calls: list[torch.Size]) -> None:
    for dtype in (torch.float64, torch.bfloat16):
        own = copy.deepcopy(plain).to(dtype)
        x = torch.randn(4, 48, dtype=dtype)
        assert torch.equal(fast(own)(x), own(x))
    assert not calls


def test_weights_that_learn_get_their_derivatives(plain: Two, calls: list[torch.Size]) -> None:
    learning = fast(plain).requires_grad_(True)
    learning(torch.randn(4, 48)).sum().backward()
    assert all(weight.grad is not None for weight in learning.parameters())
    assert not calls


def test_without_onednn_layers_stay_as_they_are(
    plain: Two, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: False)
    linear.use_onednn(plain)
    assert type(plain.first) is nn.Linear


def test_layers_of_other_classes_stay_as_they_are() -> None:
    class Quantised(nn.Linear):
        pass

    model = nn.Sequential(Quantised(4, 4))
    linear.use_onednn(model)
    assert type(model[0]) is Quantised
