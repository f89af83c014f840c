import random

import pytest

from manager.quantiles import KEPT, Quantiles


def filled(numbers):
    quantiles = Quantiles()
    for number in numbers:
        quantiles.add(number)
    return quantiles


def test_nothing_seen():
    assert filled([]).at(0.5) == 0.0


def test_few_numbers_are_exact():
    quantiles = filled(range(101))
    assert quantiles.at(0.5) == 50
    assert quantiles.at(0.99) == 99
    assert quantiles.at(1.0) == 100
    assert quantiles.largest == 100


def test_many_numbers_stay_within_memory_and_near():
    numbers = list(range(5 * KEPT))
    random.Random(1).shuffle(numbers)
    quantiles = filled(numbers)
    assert len(quantiles._kept) <= KEPT
    assert quantiles.count == len(numbers)
    assert quantiles.at(0.99) == pytest.approx(0.99 * len(numbers), rel=0.005)


def test_merged_numbers_weigh_what_they_stand_for():
    many, few = filled([1.0] * (3 * KEPT)), filled([2.0] * 100)
    many.merge(few)
    assert many.count == 3 * KEPT + 100
    assert many.at(0.5) == 1.0
    assert many.at(0.9995) in (1.0, 2.0)
    assert many.largest == 2.0


def test_merging_two_halves_is_near_the_whole():
    numbers = [random.Random(7).random() for _ in range(10_000)]
    left = filled(numbers[::2])
    left.merge(filled(numbers[1::2]))
    assert left.at(0.9) == pytest.approx(filled(numbers).at(0.9), rel=0.001)
