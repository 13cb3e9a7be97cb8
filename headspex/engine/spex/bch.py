"""Parity checks that distinguish small sets of players, and their decoder.

A set of players is a binary word; its parities with the rows of a check matrix are its syndrome.
The rows are those of a BCH code (Lin and Costello, Error Control Coding, chapter 6): player i is
the element a_i of GF(2^m), and the syndrome holds the power sums S_j = sum_{i in set} a_i^j for
odd j < 2 * order, bit by bit. Sets of at most `order` players have different syndromes.

All words are decoded at once, in numpy, at 0.01 ms per word for 96 players and order 5. The library
galois 0.4.11 takes 0.3 ms, and 24 s to import and compile.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int

_TILE = 1 << 17  # field elements held at once: about an L2 cache

Elements = Int[np.ndarray, "..."]  # of GF(2^m): bits are coefficients of a polynomial


@dataclass(frozen=True, eq=False)
class Field:
    """GF(2^m) by tables: exponent -> element, element -> exponent."""

    exp: Int[np.ndarray, " exponents"]
    log: Int[np.ndarray, " elements"]

    @property
    def size(self) -> int:
        """Number of elements other than 0."""
        return len(self.log) - 1

    def multiply(self, left: Elements, right: Elements) -> Elements:
        """Elementwise product."""
        return np.asarray(self.exp[self.log[left] + self.log[right]])


def field(m: int) -> Field:
    """GF(2^m) of the smallest primitive polynomial, m >= 2."""
    size = 2**m - 1
    for polynomial in range(2**m + 1, 2 ** (m + 1), 2):
        powers = [1]
        while len(powers) < size:
            shifted = powers[-1] << 1
            powers.append(shifted ^ polynomial if shifted > size else shifted)
            if powers[-1] == 1:
                break
        else:
            break
    # The logarithm of 0 is so large that any sum with it lands in the zeros at the end of `exp`.
    exp = np.zeros(4 * size + 1, dtype=np.int32)
    exp[: 2 * size] = 2 * powers
    log = np.full(size + 1, 2 * size, dtype=np.int32)
    log[powers] = np.arange(size)
    return Field(exp, log)


@dataclass(frozen=True, eq=False)
class BCHCode:
    """The parity checks of a BCH code shortened to the players.

    With 2^m players one of them is the element 0, which adds nothing to any power sum; a check over
    all players covers it. So 64 players need 28 checks for order 5, while the code of length 127
    has 35.

    Attributes:
        n_players: at least 1.
        order: size of the largest sets that are always decoded.
    """

    n_players: int
    order: int

    @cached_property
    def field(self) -> Field:
        """The smallest field that has an element for every player."""
        return field(max(2, (self.n_players - 1).bit_length()))

    @cached_property
    def checks(self) -> Bool[np.ndarray, "checks players"]:
        """Linearly independent rows; a set's syndrome is its parity with each."""
        rows, chosen = self._power_bits, self._independent[0]
        return np.asarray(rows[chosen])

    def syndromes(
        self, sets: Bool[np.ndarray, "words players"]
    ) -> Bool[np.ndarray, "words checks"]:
        """The parity of each set with each check."""
        return parities(sets, self.checks)

    def decode(
        self, syndromes: Bool[np.ndarray, "words checks"]
    ) -> tuple[Bool[np.ndarray, "words players"], Bool[np.ndarray, " words"]]:
        """The set of at most `order` players for each syndrome, and whether there is one."""
        sets = np.zeros((len(syndromes), self.n_players), dtype=bool)
        step = max(1, _TILE // self.field.size)
        for start in range(0, len(syndromes), step):
            part = slice(start, start + step)
            sets[part] = self._named(syndromes[part])
        found = (sets.sum(axis=1) <= self.order) & (self.syndromes(sets) == syndromes).all(axis=1)
        sets[~found] = False
        return sets, found

    def _named(
        self, syndromes: Bool[np.ndarray, "words checks"]
    ) -> Bool[np.ndarray, "words players"]:
        """The set that each syndrome names; arbitrary for a syndrome that names no set."""
        bits = parities(syndromes, self._independent[1])
        total, bits = bits[:, 0], bits[:, 1:].reshape(len(bits), self.order, -1)
        odd = (bits << np.arange(bits.shape[2])).sum(axis=2, dtype=np.int32)
        sets = self._roots(self._locator(self._power_sums(odd)))
        if self.n_players > self.field.size:
            last = total ^ (sets.sum(axis=1) % 2 == 1)
            sets = np.concatenate([sets, last[:, None]], axis=1)
        return sets

    @cached_property
    def _power_bits(self) -> Bool[np.ndarray, "rows players"]:
        """All ones where an element is 0 (else zeros), then the bits of a_i^1, a_i^3, ..."""
        size, m = self.field.size, self.field.size.bit_length()
        logs = np.arange(min(self.n_players, size))
        odd = np.arange(1, 2 * self.order, 2)
        powers = self.field.exp[odd[:, None] * logs % size]
        bits = (powers[:, None, :] >> np.arange(m)[:, None] & 1).reshape(-1, len(logs))
        rows = np.zeros((1 + len(bits), self.n_players), dtype=bool)
        rows[0] = self.n_players > size
        rows[1:, : len(logs)] = bits
        return rows

    @cached_property
    def _independent(self) -> tuple[Int[np.ndarray, " checks"], Bool[np.ndarray, "rows checks"]]:
        """A basis of the rows of `_power_bits`, and every row as a sum of basis rows."""
        rows = self._power_bits
        work = np.concatenate([rows, np.eye(len(rows), dtype=bool)], axis=1)
        reduced: list[tuple[int, np.ndarray]] = []
        chosen: list[int] = []
        sums = np.zeros((len(rows), len(rows)), dtype=bool)
        for number, row in enumerate(work):
            for pivot, other in reduced:
                if row[pivot]:
                    row ^= other
            if row[: self.n_players].any():
                reduced.append((int(row[: self.n_players].argmax()), row))
                chosen.append(number)
                sums[number, number] = True
            else:  # the row is the sum of earlier chosen ones
                sums[number] = row[self.n_players :]
                sums[number, number] = False
        return np.array(chosen, dtype=np.int64), sums[:, chosen]

    def _power_sums(self, odd: Int[np.ndarray, "words order"]) -> Int[np.ndarray, "words twice"]:
        """S_1 ... S_{2 order}: squaring is linear in GF(2^m), so S_{2j} = S_j^2."""
        sums = np.zeros((len(odd), 2 * self.order), dtype=np.int32)
        sums[:, ::2] = odd
        for j in range(1, self.order + 1):
            sums[:, 2 * j - 1] = self.field.multiply(sums[:, j - 1], sums[:, j - 1])
        return sums

    def _locator(self, sums: Int[np.ndarray, "words twice"]) -> Int[np.ndarray, "words degrees"]:
        """Coefficients of prod_i (1 - a_i x), by Berlekamp and Massey without inversion."""
        multiply = self.field.multiply
        words, steps = sums.shape
        locator = np.zeros((words, self.order + 2), dtype=np.int32)
        locator[:, 0] = 1
        former = locator.copy()
        scale = np.ones((words, 1), dtype=np.int32)
        excess = np.zeros((words, 1), dtype=np.int32)
        for step in range(steps):
            terms = min(step, self.order + 1) + 1
            recent = sums[:, step - terms + 1 : step + 1][:, ::-1]
            lack = np.bitwise_xor.reduce(multiply(recent, locator[:, :terms]), axis=1)[:, None]
            shifted = np.roll(former, 1, axis=1)
            shifted[:, 0] = 0
            longer = (lack != 0) & (excess >= 0)
            former = np.where(longer, locator, shifted)
            locator = multiply(scale, locator) ^ multiply(lack, shifted)
            scale = np.where(longer, lack, scale)
            excess = np.where(longer, -excess - 1, excess + 1)
        return locator

    def _roots(
        self, locator: Int[np.ndarray, "words degrees"]
    ) -> Bool[np.ndarray, "words elements"]:
        """Which elements' inverses are roots of each locator."""
        logs = np.arange(min(self.n_players, self.field.size))
        values = np.repeat(locator[:, :1], len(logs), axis=1)
        for degree in range(1, self.order + 1):
            inverse_power = -degree * logs % self.field.size
            values ^= self.field.exp[self.field.log[locator[:, degree, None]] + inverse_power]
        return np.asarray(values == 0)


def parities(
    sets: Bool[np.ndarray, "words players"], checks: Bool[np.ndarray, "checks players"]
) -> Bool[np.ndarray, "words checks"]:
    """Whether each set shares an odd number of players with each check."""
    # float32 counts are exact far beyond any number of players, and BLAS multiplies floats.
    counts = sets.astype(np.float32) @ checks.T.astype(np.float32)
    return (counts.astype(np.int32) & 1).astype(np.bool_)
