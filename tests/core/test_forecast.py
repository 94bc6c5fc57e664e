"""When a job may be over: learnt from what was seen, and never nonsense."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pollwise.core.estimates import Estimates
from pollwise.core.forecast import LEVELS_TO_DOUBLE, Durations, Forecast, level_of, worth_of

ages = st.floats(0, 1e6)
spans = st.floats(0, 1e5)


def taught(durations_s: list[float], every_s: float) -> Durations:
    """What polling jobs of these durations every so often teaches."""
    durations = Durations()
    for duration in durations_s:
        seen = (math.ceil(duration / every_s) - 1) * every_s
        durations.ran(0.0, seen)
        durations.over(seen, seen + every_s)
    return durations


@given(st.lists(st.tuples(st.booleans(), ages, spans), max_size=30), ages, spans, spans)
def test_a_chance_is_a_chance(seen: list[tuple[bool, float, float]], age: float, span: float, more: float) -> None:
    """Between 0 and 1, and it grows with silence; so does its sum, and by no more than the time."""
    durations = Durations()
    for ended, since, took in seen:
        (durations.over if ended else durations.ran)(since, since + took)
    chance, later = durations.chance(age, age + span), durations.chance(age, age + span + more)
    assert -1e-9 <= chance <= later + 1e-9 <= 1 + 1e-8
    summed, further = durations.undetected_s(age, age + span), durations.undetected_s(age, age + span + more)
    assert 0 <= summed <= span + 1e-6
    assert summed <= further + 1e-6 * (1 + further)


def test_a_constant_hazard_is_worth_half_h_a_squared() -> None:
    """The index of a memoryless job, as the theory has it."""
    dice = random.Random(1)
    durations = taught([dice.expovariate(1 / 200) for _ in range(3000)], 10.0)
    assert durations.undetected_s(100, 120) == pytest.approx(20**2 / 2 / 200, rel=0.25)


def test_jobs_of_one_length_are_not_worth_asking_before_their_time() -> None:
    """Half-way no job has ended; near the end each job may have."""
    dice = random.Random(2)
    durations = taught([dice.gauss(600, 30) for _ in range(500)], 20.0)
    assert durations.chance(0, 300) < 0.02
    assert durations.chance(560, 640) > 0.6


def test_those_still_running_count() -> None:
    """Ends alone would make every job look short: the long ones have not ended yet."""
    durations = Durations()
    for _ in range(50):
        durations.over(0, 10)
    short = durations.chance(0, 30)
    for _ in range(450):
        durations.ran(0, 1000)
    for _ in range(3):
        durations.over(0, 10)
    assert durations.chance(0, 30) < short / 4


@given(st.lists(st.floats(0.01, 50), min_size=1, max_size=30), st.floats(0.5, 20))
@example([0.25, 10.0], 5.0)  # a bin ends at 0.25 s
def test_looking_more_often_teaches_no_more(steps_s: list[float], every_s: float) -> None:
    """However often a job was seen running, its forecast at its end is that of one seen once."""
    often, once, age = Forecast(), Forecast(), 0.0
    for step in steps_s:
        often.ran(age, age + step, None)
        age += step
    once.ran(0.0, age, None)
    for forecast in (often, once):
        for _ in range(3):
            forecast.over(age, age + every_s, None)
    for span in (1.0, 10.0, 100.0):
        assert often.durations.chance(0.0, span) == pytest.approx(once.durations.chance(0.0, span), rel=1e-6)


@given(st.lists(st.tuples(ages, st.floats(0, 1)), max_size=80), st.randoms())
@example([(700.0, 0.5), (30.0, 0.2), (900.0, 0.99), (5e6, 0.1)], random.Random(1))
def test_many_ends_teach_what_each_of_them_teaches(ends: list[tuple[float, float]], dice: random.Random) -> None:
    """All hazards are the same as if the jobs had been seen one after another, to within rounding."""
    spans = [(until * share, until) for until, share in ends for _ in range(dice.choice((1, 30)))]
    at_once, one_by_one = taught([600.0] * 7, 20.0), taught([600.0] * 7, 20.0)
    one_by_one._refresh()
    at_once.learn(spans)
    for since, until in spans:
        one_by_one.ran(0.0, since)
        one_by_one.over(since, until)
    one_by_one._refresh()
    assert at_once.ended == one_by_one.ended
    assert at_once._hazards == pytest.approx(one_by_one._hazards, rel=1e-6)
    assert at_once._beyond == pytest.approx(one_by_one._beyond, rel=1e-6, abs=1e-6)
    assert at_once._seen == pytest.approx(one_by_one._seen, rel=1e-6)


def test_many_ends_cost_few_refreshes() -> None:
    """A refresh computes all 340 bins. A thousand ends one by one take some 180, and at once one."""
    at_once, one_by_one = Durations(), Durations()
    at_once.learn([(95.0, 100.0)] * 1000)
    for _ in range(1000):
        one_by_one.over(95.0, 100.0)
    assert (at_once.version, one_by_one.version) == (2, pytest.approx(181, abs=10))


@pytest.mark.parametrize("age", [1e7, 1e9, 1e12, 1e300])
def test_no_age_is_too_high(age: float) -> None:
    """A clock that jumped makes a job seem centuries old. It teaches what the oldest bin can hold, and nothing overflows."""
    forecast = Forecast()
    for _ in range(20):
        forecast.ran(0.0, age / 2, None)
        forecast.over(age / 2, age, None)
    forecast.durations.learn([(age / 2, age)] * 20)
    assert min(forecast.durations._hazards) > 0.0
    assert min(forecast.durations._times) >= 0.0
    assert 0.0 <= forecast.durations.chance(age / 2, age) <= 1.0
    assert 0.0 <= forecast.worth(60.0, age, None) <= 60.0 * (1 + 1e-9)
    assert 0.0 <= forecast.silence_s(4, age, None, 60.0) <= 60.0
    assert forecast.may_be_over(60.0, age, None, 30.0) in {True, False}
    assert 0.0 <= forecast.durations.chance(60.0, 120.0) <= 1.0


def test_of_an_unknown_job_older_means_longer() -> None:
    """Nothing known: the chance to end within a tenth of its age is about a tenth, at any age."""
    durations = Durations()
    for age in (10, 1000, 100_000):
        assert durations.chance(age, age * 1.1) == pytest.approx(0.09, abs=0.02)


def test_progress_that_foretells_worse_than_durations_is_not_used() -> None:
    """A percentage that runs to 99 at once and stays there loses to jobs of one length, and the other way round."""
    forecast = Forecast()
    for _ in range(60):
        for age in range(0, 580, 20):
            forecast.ran(age, age + 20, 1.0)
        forecast.over(580, 600, 1.0)
    assert forecast.worth(20, 100, 1.0) < 1  # by progress nearly all of the 20 s
    good = Forecast()
    dice = random.Random(3)
    for _ in range(60):
        length = dice.uniform(100, 10_000)
        for age in range(0, int(length) - 20, 20):
            good.ran(age, age + 20, length - age)
        good.over(length - 20, length, 20.0)
    assert good.worth(10, 5000, 20.0) < 1
    assert good.worth(40, 5000, 20.0) > 10  # by durations less than one


def test_who_cannot_have_been_over_for_long_need_not_be_asked() -> None:
    """Of jobs of one length none is over half-way; near the end some are, and later some have long been."""
    dice = random.Random(5)
    forecast = Forecast()
    forecast.durations = taught([dice.gauss(600, 30) for _ in range(500)], 20.0)
    assert not forecast.may_be_over(400, 0, None, 50)
    assert not forecast.may_be_over(600, 0, None, 200)
    assert forecast.may_be_over(620, 0, None, 50)
    assert forecast.may_be_over(100, 560, None, 50)


@given(st.lists(st.tuples(st.booleans(), ages, spans), max_size=30), ages, spans, spans)
def test_a_suspicion_is_a_chance(seen: list[tuple[bool, float, float]], age: float, span: float, more: float) -> None:
    """Whatever was seen: between 0 and 1, and not smaller after a longer silence."""
    durations = Durations()
    for over, since, silent in seen:
        (durations.over if over else durations.ran)(since, since + silent)
    assert 0.0 <= durations.suspicion(age, age + span) <= durations.suspicion(age, age + span + more) <= 1.0


def test_suspicion_goes_by_ends_that_were_seen() -> None:
    """One end among hundreds makes others suspect that are a little younger or older; where none was there is none."""
    durations = taught([40.0] + [100.0] * 300, 1.0)
    assert durations.suspicion(10, 30) == 0.0
    assert durations.chance(10, 30) > 0.0  # the prior is not nothing
    assert 1e-4 < durations.suspicion(35, 46) < 0.02
    assert durations.suspicion(50, 80) == 0.0


def test_either_foreteller_may_raise_a_doubt() -> None:
    """A progress that is nearly through counts against durations that say not yet, and the other way round."""
    forecast = Forecast()
    forecast.durations = taught([600.0] * 500, 20.0)
    assert forecast.may_be_over(300, 100, 50.0, 100)
    assert forecast.may_be_over(700, 0, 1e6, 50)


def test_the_straggler_of_a_group_is_doubted() -> None:
    """With jobs of 30 s and of 1,800 s one seen at 60 s is as good as in the first group; one seen at 300 s is not."""
    dice = random.Random(6)
    forecast = Forecast()
    forecast.durations = taught([kind * dice.lognormvariate(0, 0.25) for kind in (30, 1800) for _ in range(400)], 10.0)
    assert forecast.may_be_over(300, 45, None, 200)
    assert not forecast.may_be_over(300, 300, None, 200)


def test_a_job_that_outlived_its_group_is_doubted_as_if_it_were_younger() -> None:
    """At 60 s hardly any job of the group of 30 s still runs. Some did at 40 s, which is two thirds of that age."""
    dice = random.Random(6)
    forecast = Forecast()
    forecast.durations = taught([kind * dice.lognormvariate(0, 0.25) for kind in (30, 1800) for _ in range(400)], 2.0)
    assert forecast.may_be_over(300, 60, None, 200)
    assert not forecast.may_be_over(300, 90, None, 200)


def test_a_doubt_is_measured_by_the_patience() -> None:
    """Of jobs of about ten minutes some may have ended before 450 s: too few for a patience of 150 s, enough for 120 s."""
    dice = random.Random(5)
    forecast = Forecast()
    forecast.durations = taught([dice.gauss(600, 30) for _ in range(500)], 20.0)
    assert not forecast.may_be_over(600, 0, None, 150)
    assert forecast.may_be_over(600, 0, None, 120)


def three_kinds() -> Forecast:
    """One job in twenty takes 40 s, most take 6,000 s, and a few take 9,000 s."""
    forecast = Forecast()
    forecast.durations = taught([40.0] * 25 + [6000.0] * 425 + [9000.0] * 50, 20.0)
    return forecast


def test_progress_spares_a_job_the_polls_for_rare_short_ones() -> None:
    """A job may be one of the rare short ones. Its progress says that it is not, as long as progress predicts well."""
    forecast = three_kinds()
    assert forecast.may_be_over(100, 0, None, 20)
    assert not forecast.may_be_over(100, 0, 1e6, 20)
    for _ in range(5):
        forecast.over(5_990, 6_000, 1e6)
    assert forecast.may_be_over(100, 0, 1e6, 20)


def test_durations_raise_a_doubt_though_progress_predicts_well() -> None:
    """Nearly all jobs of this age have ended. A percentage may have stopped."""
    assert three_kinds().may_be_over(3_000, 4_000, 1e6, 500)


def test_progress_raises_a_doubt_by_the_ratio_of_the_silence_to_the_eta() -> None:
    """Long after its ETA a job may be over, whatever is a long time for it. Before its ETA it is not."""
    forecast = three_kinds()
    assert forecast.may_be_over(2.0, 1_000, 0.1, 0.5)
    assert not forecast.may_be_over(100, 1_000, 1_000.0, 50)
    assert not forecast.may_be_over(100, 1_000, 150.0, 99)  # perhaps over, but not for long


def test_a_job_older_than_nearly_all_others_may_be_over() -> None:
    """Twenty of thousands have ended, all within 100 s. What is to be expected at 350 s is not known."""
    forecast = Forecast()
    forecast.durations = taught([100.0] * 20, 5.0)
    for _ in range(2_000):
        forecast.durations.ran(0, 1_000)
    forecast.durations.over(0, 5)
    assert forecast.may_be_over(300, 50, None, 250)
    assert not forecast.may_be_over(40, 50, None, 20)


def test_of_ages_that_hardly_any_job_reached_nothing_is_known() -> None:
    """A job that is older than all jobs seen may be over, though no end says so."""
    forecast = Forecast()
    assert forecast.may_be_over(100, 0, None, 50)
    forecast.durations = taught([100.0] * 50, 5.0)
    forecast.durations.ran(0, 100_000)
    assert forecast.may_be_over(100, 5000, None, 50)


@given(st.integers(-30, 30), ages, st.none() | st.floats(0.01, 1e5))
def test_silence_ends_when_asking_is_worth_it(level: int, age: float, eta: float | None) -> None:
    """Before it, asking is worth less; after it, about that or more."""
    forecast = Forecast()
    silence = forecast.silence_s(level, age, eta, math.inf)
    assert forecast.worth(silence * 1.3 + 0.01, age, eta) >= worth_of(level) * 0.9
    assert forecast.worth(silence / 1.3, age, eta) <= worth_of(level) * 1.3 + 0.01


def test_a_silence_is_as_exact_between_ages_as_at_them() -> None:
    """A table is looked up, and still the worth at its end is the one asked for, to within a tenth."""
    dice = random.Random(8)
    forecast = Forecast()
    forecast.durations = taught([dice.lognormvariate(math.log(300), 0.5) for _ in range(900)], 10.0)
    for age in range(60, 600, 7):
        silence = forecast.silence_s(6, age, None, math.inf)
        assert forecast.worth(silence, age, None) == pytest.approx(worth_of(6), rel=0.1)


def test_a_silence_does_not_depend_on_what_was_asked_before() -> None:
    """Tables are kept, and the answer is the one without them."""
    ages = [400.0, 390.0, 50.0, 55.0, 381.0, 371.0, 60.0]
    asked = Forecast()
    asked.durations = taught([300.0, 400.0, 500.0] * 10, 10.0)
    for age in ages:
        for level in (2, 6):
            fresh = Forecast()
            fresh.durations = asked.durations
            assert asked.silence_s(level, age, None, math.inf) == fresh.silence_s(level, age, None, math.inf)


def test_a_silence_follows_what_was_learnt_since() -> None:
    """A forecast that was used before any end was seen is worth no less than a new one."""
    forecast = Forecast()
    unknown = forecast.silence_s(4, 100.0, None, math.inf)
    for _ in range(60):
        forecast.durations.ran(0.0, 90.0)
        forecast.durations.over(90.0, 110.0)
    learnt = forecast.silence_s(4, 100.0, None, math.inf)
    assert learnt < unknown / 2
    assert forecast.worth(learnt, 100.0, None) == pytest.approx(worth_of(4), rel=0.1)


class Counted(Durations):
    """Counts the steps of searches."""

    __slots__ = ("steps",)

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def undetected_s(self, since_s: float, until_s: float) -> float:
        self.steps += 1
        return super().undetected_s(since_s, until_s)


def test_a_thousand_silences_cost_few_searches() -> None:
    """A search takes tens of steps, and every watch needs its silence: each begin of a bin is searched once."""
    forecast, durations = Forecast(), Counted()
    forecast.durations = durations
    for n in range(1_000):
        forecast.silence_s(4, 10.0 + n / 1_000, None, math.inf)
    assert 0 < durations.steps < 300


def test_a_poll_without_a_silence_is_worth_nothing() -> None:
    """A job that was just seen running cannot be over, and a clock that goes back changes nothing of that."""
    for silent in (0.0, -5.0):
        assert Forecast().worth(silent, 100.0, None) == 0.0
        assert Forecast().worth(silent, 100.0, 10.0) == 0.0


@pytest.mark.parametrize(("ends", "eta", "known"), [(4, None, False), (5, None, True), (0, 0.0, True), (0, 60.0, True)])
def test_evidence_is_a_progress_or_five_ends(ends: int, eta: float | None, known: bool) -> None:
    """Without it the requests are rationed."""
    forecast = Forecast()
    for _ in range(ends):
        forecast.over(0.0, 10.0, None)
    assert forecast.has_evidence(eta) is known


@pytest.mark.parametrize(
    ("ran_s", "over_s", "eta", "actual_s"),
    [
        (None, (100.0, 110.0), 5.0, 5.0),  # seen over after its ETA: it was right, as far as can be known
        (None, (100.0, 110.0), 10.0, 10.0),
        (None, (100.0, 110.0), 20.0, 5.0),  # seen over before it: half-way on average
        ((100.0, 110.0), None, 4.0, 10.0),  # it runs long after its ETA: it took as long at least
        ((100.0, 110.0), None, 10.0, None),
        ((100.0, 110.0), None, 20.0, None),
        ((100.0, 110.0), None, None, None),
    ],
)
def test_an_eta_is_compared_with_what_came(
    ran_s: tuple[float, float] | None,
    over_s: tuple[float, float] | None,
    eta: float | None,
    actual_s: float | None,
) -> None:
    """An ETA that has not come yet while the job runs is no error. It is compared with the silence, not with the age."""
    forecast, estimates = Forecast(), Estimates()
    for _ in range(20):
        if ran_s is not None:
            forecast.ran(*ran_s, eta)
        if over_s is not None:
            forecast.over(*over_s, eta)
        if eta is not None and actual_s is not None:
            estimates.learn(eta, actual_s)
    for ratio in (0.5, 0.9, 2.0):
        assert forecast.estimates.chance(ratio) == estimates.chance(ratio)


def by_progress(forecast: Forecast) -> bool:
    """Whether the worth of a poll is computed from the progress of the job, not from durations."""
    durations = forecast.durations.undetected_s(1_000.0, 1_010.0)
    return forecast.worth(10.0, 1_000.0, 20.0) != durations


@pytest.mark.parametrize(
    ("since", "until", "eta", "better"),
    [
        (0.0, 2.0, 0.5, True),  # four times the ETA: over nearly for sure, and by durations four times in five
        (0.0, 2.0, 1.9, False),  # little more than the ETA
        (0.0, 2.0, 8.0, False),  # long before the ETA
        (1_000.0, 1_010.0, 20.0, False),  # long before the ETA, and by durations every second time
    ],
)
def test_of_an_end_the_better_prediction_wins(since: float, until: float, eta: float, better: bool) -> None:
    """Progress and durations are compared by the chance that each of them gave to what came."""
    forecast = Forecast()
    for _ in range(40):
        forecast.durations.ran(0.0, 0.1)
        forecast.durations.over(0.1, 1.9)
    for _ in range(10):
        forecast.durations.ran(0.0, 3.0)
    for _ in range(10):
        forecast.durations.ran(0.0, 1_000.0)
        forecast.durations.over(1_000.0, 1_010.0)
    forecast.over(since, until, eta)
    assert by_progress(forecast) is better


def test_a_progress_that_has_become_good_is_used_again() -> None:
    """Only some hundreds of polls are remembered: what a vendor has mended counts after a while."""
    dice, forecast = random.Random(9), Forecast()
    for _ in range(600):
        forecast.over(590.0, 600.0, 1e6)
    assert not by_progress(forecast)
    for _ in range(600):
        length = dice.uniform(1_000, 10_000)
        forecast.over(length - 20, length, 10.0)
    assert by_progress(forecast)


def test_levels_begin_at_powers_of_the_root_of_two() -> None:
    """Two levels double the worth. What is worth a millisecond or less has the lowest level."""
    assert LEVELS_TO_DOUBLE == 2
    assert [worth_of(level) for level in (-4, 0, 2, 6)] == [0.25, 1.0, 2.0, 8.0]
    assert [level_of(worth) for worth in (0.25, 0.99, 1.0, 1.42, 2.0, 8.0)] == [-4, -1, 0, 1, 2, 6]
    assert [level_of(worth) for worth in (-1.0, 0.0, 1e-9, 1e-3, 0.00101)] == [-20, -20, -20, -20, -20]


def test_silence_is_bounded() -> None:
    """However little is to be gained, a watch is asked after the longest silence."""
    assert Forecast().silence_s(40, 10.0, 1e9, 60.0) == 60.0


@given(st.floats(1e-2, 1e9))
def test_levels_are_of_worth(worth: float) -> None:
    """A level begins at or below the worth that reaches it, and the next one above."""
    level = level_of(worth)
    assert worth_of(level) <= worth * (1 + 1e-9)
    assert worth < worth_of(level + 1) * (1 + 1e-9)


def test_old_ends_are_forgotten() -> None:
    """When jobs become ten times longer, the forecast follows."""
    durations = taught([100.0] * 1500, 5.0)
    assert durations.chance(80, 120) > 0.8
    for _ in range(3000):
        durations.ran(0, 900)
        durations.over(900, 1000)
    assert durations.chance(80, 120) < 0.35
