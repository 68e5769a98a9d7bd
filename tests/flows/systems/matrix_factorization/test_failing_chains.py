"""Chains that pass by a saddle, or end there: losses, layers and limits within true errors."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import flows
from flows.systems.matrix_factorization import chains, errors, pieces, sensitivity
from flows.systems.matrix_factorization.modes import in_modes, modes, on_defects

# The loss tends to the first, layers fall like `(2 t)^(-1/2)`, and from the second one on these
# laws hold to the third: corrections of a start of order one are `1/t` beside them.
LIMIT, LATE, PART = 0.5, 1e5, 1e-3
# What doubles leave of a loss beside one half.
ROUNDING = 1e-13
USUAL = 1e-8  # relative error that is stated of runs that pass by nothing, at the usual tolerance
# What DOP853 leaves of residuals at its tolerance of 1e-13, between its steps too, and that grows
# beside saddles less than what is stated of the run.
ORACLE = 5e-11


def gradient_flow(start: Any, strength: float, times: Any) -> Any:
    """Losses of the layers themselves, by matrix products written out and DOP853."""
    shape, identity = start.shape, np.eye(start.shape[-1])

    def parts(flat: Any) -> tuple[Any, Any]:
        w = flat.reshape(shape)
        product = identity
        for layer in w:
            product = layer @ product
        return identity - product, [x @ x.conj().T - y.conj().T @ y for x, y in pairwise(w)]

    def field(_: float, flat: Any) -> Any:
        w, (residual, defects) = flat.reshape(shape), parts(flat)
        moved = np.empty_like(w)
        for j in range(len(w)):
            before = after = identity
            for layer in w[:j]:
                before = layer @ before
            for layer in w[j + 1 :]:
                after = layer @ after
            moved[j] = after.conj().T @ residual @ before.conj().T
            if j < len(w) - 1:
                moved[j] -= strength * defects[j] @ w[j]
            if j > 0:
                moved[j] += strength * w[j] @ defects[j - 1]
        return moved.ravel()

    found = solve_ivp(
        field, (0.0, times[-1]), start.ravel(), "DOP853", times, rtol=1e-13, atol=1e-16
    )
    losses = []
    for flat in found.y.T:
        residual, defects = parts(flat)
        balance = sum(np.sum(np.abs(d) ** 2) for d in defects)
        losses.append(np.sum(np.abs(residual) ** 2) / 2 + strength / 4 * balance)
    return np.array(losses)


FAILING = [(1, "real", 1, 0.5), (1, "real", 1, 1.0), (1, "real", 1, 0.1), (3, "real", 0, 0.5)]


@pytest.mark.parametrize(("d", "field", "seed", "scale"), FAILING)
def test_real_layers_of_negative_determinant_do_not_reach_the_identity(
    d: int, field: str, seed: int, scale: float
) -> None:
    """`w' = -w^3` late: `L - 1/2` tends to `1/(4 t^2)` from above."""
    system = flows.MatrixFactorization(d=d, field=field)
    start = system.initial(scale, seed)
    assert np.linalg.det(start).prod() < 0
    run = flows.integrate(system, start, 1e12)
    assert run.completed and np.isnan(run.excess.limit)
    late = run.t > LATE
    above, t = run["loss"][late] - LIMIT, run.t[late]
    assert (np.abs(above - 1 / (4 * t**2)) < PART / (4 * t**2) + ROUNDING).all()
    assert (above > 0)[t < 1e6].all()
    least = np.linalg.svd(run.state[late], compute_uv=False)[..., -1]
    assert (np.abs(2 * t[:, None] * least**2 - 1) < 10 * PART).all()
    assert (np.linalg.det(run.state[late]).prod(axis=1) < 0).all()


def test_rounding_of_a_speed_that_vanishes_is_no_way_out_of_a_saddle(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The speed is `(2 t)^{-3/2}`: below the rounding of the residual's from 1e10 on."""
    system = flows.MatrixFactorization(d=3)
    for rounding, most in ((errors.ROUNDING, 1e-6), (0.0, np.inf)):
        monkeypatch.setattr(errors, "ROUNDING", rounding)
        run = flows.integrate(system, system.initial(0.5, 0), 1e12)
        stated = run.absolute_errors("loss")
        assert (stated[run.t > 1] <= most).all() and np.isinf(stated[-1]) == (rounding == 0)
        assert (np.abs(run["loss"] - LIMIT)[run.t > 1e7] <= stated[run.t > 1e7]).all()


def single_layers(start: Any, strength: float, times: Any) -> Any:
    """Layers that are numbers, by their equations written out and DOP853."""

    def field(_: float, w: Any) -> Any:
        residual, moved = 1.0 - np.prod(w), np.empty_like(w)
        defects = np.concatenate([[0.0], w[:-1] ** 2 - w[1:] ** 2, [0.0]])
        for j in range(len(w)):
            others = np.prod(np.delete(w, j))
            moved[j] = residual * others - strength * w[j] * (defects[j + 1] - defects[j])
        return moved

    found = solve_ivp(
        field, (0.0, times[-1]), start.ravel(), "DOP853", times, rtol=1e-13, atol=1e-16
    )
    return found.y.T


def layers_of(run: Any) -> tuple[Any, Any]:
    """Singular values of single layers of a run, and what is stated of them."""
    values = run.features["layer_value"]
    return values, run.feature_errors["layer_value"] + run.tolerance[:, None] * values


@pytest.mark.parametrize(("scale", "strength"), [(0.5, 5.0), (1.0, 5.0), (2.0, 20.0)])
def test_single_layers_that_fail_are_right_within_what_is_stated(
    scale: float, strength: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Differences of their squares keep errors, which are a larger part of what falls."""
    system = flows.MatrixFactorization(d=1, regularization=strength)
    start, times = system.initial(scale, 1), np.geomspace(1.0, 3e4, 10)
    true = np.abs(single_layers(start, strength, np.concatenate([[0.0], times])))
    run = flows.integrate(system, start, times[-1], times)
    values, stated = layers_of(run)
    assert np.ptp(true[-1]) < 1e-3 * true[-1].max() and (true[0] != true[-1]).all()
    assert (np.abs(values - true) <= stated + ORACLE * true).all()
    # Control: pieces that are put on their defects after 1e5 alone.
    monkeypatch.setattr(pieces, "LONG", 1e5)
    values, _ = layers_of(flows.integrate(system, start, times[-1], times))
    assert (np.abs(values - true) > stated + ORACLE * true).any()


def test_errors_of_layers_that_fail_are_relative_to_the_mode_that_fails() -> None:
    system = flows.MatrixFactorization(d=3, regularization=20.0)
    run = flows.integrate(system, system.initial(0.2, 0), 1e6)
    least = np.linalg.svd(run.state, compute_uv=False)[..., -1].mean(axis=1)
    late, slope = run.t > LATE, 2 * least**3 * (1 + least**4)  # four layers of one size
    stated = run.absolute_errors("gradient_norm")
    assert (np.abs(run["gradient_norm"] - slope)[late] <= stated[late]).all()
    assert (stated < 2e-5 * run["gradient_norm"])[late].all()
    assert (np.abs(run["gradient_norm"] - (1 + 1e-4) * slope) > stated)[late].all()
    verdicts = {verdict.claim: verdict.verdict for verdict in flows.check(run)}
    assert verdicts["fit_decays"] == "HOLDS"


def test_what_is_damped_counts_where_the_mode_that_fails_is_as_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Three layers of one size `s` have the velocity `3^(1/2) s^2`, about `1e-12` at the end."""
    system = flows.MatrixFactorization(d=2, depth=3, regularization=1.0)
    run = flows.integrate(system, system.initial(0.3, 152, balanced=True), 1e6)
    least = np.linalg.svd(run.state, compute_uv=False)[..., -1].mean(axis=1)
    off = np.abs(run["gradient_norm"] - 3**0.5 * least**2)[run.t > LATE]
    assert (off <= run.absolute_errors("gradient_norm")[run.t > LATE]).all()
    monkeypatch.setattr(sensitivity, "DAMPED", 0.0)
    again = flows.integrate(system, system.initial(0.3, 152, balanced=True), 1e6)
    assert (off > again.absolute_errors("gradient_norm")[run.t > LATE]).any()


def test_a_defect_that_passes_by_zero_is_known_beside_the_others() -> None:
    system = flows.MatrixFactorization(d=1, depth=5, regularization=1.0)
    start, times = system.initial(0.1, 125), [0.9, 1.0, 1.1]
    run = flows.integrate(system, start, 1.1, times)
    true = single_layers(start, 1.0, [0.0, *times])
    defects = np.abs(true[:, :-1] ** 2 - true[:, 1:] ** 2)
    off = np.abs(run.features["defect"] - defects)
    stated = run.feature_errors["defect"] + run.tolerance[:, None] * defects
    assert (off <= stated)[1:].all() and (off > USUAL * defects)[1:].any()


def test_members_of_an_ensemble_that_fail_end_at_one_half() -> None:
    system = flows.MatrixFactorization(d=1)
    starts = np.array([system.initial(0.5, seed) for seed in range(6)])
    several = flows.integrate_ensemble(system, starts, 1e12)
    # One crosses zero at once, as its last layer is so large.
    fails = np.array([gradient_flow(start, 5.0, [200.0])[0] > LIMIT / 2 for start in starts])
    assert 0 < fails.sum() < (starts.prod(axis=(1, 2, 3)) < 0).sum()
    assert np.abs(several["loss"][fails, -1] - LIMIT).max() < ROUNDING
    assert (several["loss"][~fails, -1] == 0).all()


def test_balanced_layers_without_balancing_stay_at_their_saddle() -> None:
    """Control: layers that are not put back on their defects leave it by what steps leave."""
    system = flows.MatrixFactorization(d=1, regularization=0)
    start = np.array([0.5, 0.5, 0.5, -0.5]).reshape(4, 1, 1)
    run = flows.integrate(system, start, 1e12)
    assert run.completed and abs(run["loss"][-1] - LIMIT) < ROUNDING


@pytest.mark.parametrize(
    ("d", "depth", "field", "strength", "scale", "seed"),
    [
        (1, 2, "real", 5, 1.0, 3),
        (1, 2, "real", 5, 0.3, 3),
        (1, 3, "real", 0, 0.05, 1),
        (1, 4, "complex", 5, 1.0, 0),
        (2, 2, "real", 5, 1.0, 1),
        (2, 4, "real", 0, 0.3, 2),
        (3, 3, "complex", 5, 0.3, 0),
    ],
)
def test_losses_of_layers_that_pass_by_saddles_are_right_within_what_is_stated(
    d: int, depth: int, field: str, strength: float, scale: float, seed: int
) -> None:
    system = flows.MatrixFactorization(d=d, depth=depth, field=field, regularization=strength)
    start = system.initial(scale, seed)
    run = flows.integrate(system, start, 60.0)
    true = gradient_flow(start, strength, run.t)
    off, stated = np.abs(run["loss"] - true), run.absolute_errors("loss")
    assert (off <= stated + ORACLE * np.sqrt(true) + ORACLE**2).all()


def test_the_error_that_grows_beside_a_saddle_is_no_usual_one() -> None:
    """Where the way out is known to a hundredth only; at any times that are asked for."""
    system = flows.MatrixFactorization(d=1, depth=2)
    start = system.initial(1.0, 3)
    run = flows.integrate(system, start, 20.0, [18.0, 20.0])
    off = np.abs(run["loss"] - gradient_flow(start, 5.0, run.t))
    assert (off > 1e3 * USUAL * run["loss"])[1:].any()
    assert (off <= run.absolute_errors("loss")).all()


@pytest.mark.parametrize("depth", [2, 4])
def test_growth_counts_only_where_a_run_speeds_up_again(depth: int) -> None:
    """Of a speed that falls and rises by `e` a time, from one to `1e-6` and back."""
    fallen, t, one = np.geomspace(1.0, 1e-6, 200), np.linspace(0, np.log(1e12), 399), np.ones(1)
    still = np.ones(399)  # a residual that stays
    assert not errors.growth(fallen, still[:200], t[:200], one, depth).any()
    through = errors.growth(np.concatenate([fallen, fallen[-2::-1]]), still, t, one, depth)
    known = errors.STEPS / errors.ALLOWED * depth**0.5 * 1e6 * 1e6 ** (1 / (depth - 1))
    assert through[-1] == pytest.approx(known - 1, rel=1e-3)


@pytest.mark.parametrize("complex_layers", [False, True])
def test_layers_are_put_on_their_defects_in_the_basis_of_their_modes(complex_layers: bool) -> None:
    generator, d = np.random.default_rng(0), 3
    turns = generator.normal(size=(5, d, d))
    if complex_layers:
        turns = turns + 1j * generator.normal(size=(5, d, d))
    turns = np.linalg.qr(turns)[0]
    small = np.diag([1.0, 0.7, 1e-5])
    layers = chains.adjoint(turns[1:]) @ small @ turns[:-1]
    layers = layers + 1e-9 * layers * generator.normal(size=layers.shape)
    found, turned = modes(layers)
    point = chains.Point(turned, np.eye(d), np.zeros((3, d, d)), np.zeros(2))
    # Rounding of a few products of numbers of size one.
    assert np.abs(in_modes(point, found, back=True).layers - layers).max() < 1e-14
    assert np.abs(chains.defects(turned)).max() > 1e-11
    settled = on_defects(turned, np.zeros((3, d, d)))
    sizes = np.abs(np.diagonal(settled, axis1=1, axis2=2))[:-1]
    unit = sizes[:, :, None] * sizes[:, None, :]
    # Rounding beside each pair of modes; the layers move little, as they were changed by 1e-9.
    assert (np.abs(chains.defects(settled)) < 1e-13 * unit + 1e-20).all()
    assert np.abs(settled - turned).max() < 1e-7


def test_a_loss_is_below_that_of_a_saddle_only_beyond_rounding() -> None:
    system, t = flows.MatrixFactorization(d=1), np.arange(2.0)
    beside = system.excess(None, None, t, np.array([1.0, np.nextafter(LIMIT, 0)]))
    below = system.excess(None, None, t, np.array([1.0, 0.4]))
    assert np.isnan(beside.limit) and below.limit == 0


def test_pieces_begin_anew_in_their_modes_only_where_a_residual_stays() -> None:
    system = flows.MatrixFactorization(d=1)
    for seed, stays in ((1, True), (3, False)):
        run = flows.integrate(system, system.initial(0.5, seed), 100.0)
        turns = system.piece(run.frame, run.states.at(-1), 100.0).turns
        assert (turns is not None) == stays


def test_layers_of_which_a_mode_is_zero_keep_it_and_have_their_defects_in_the_others():
    # Of a mode that is zero a defect says nothing: its equations are singular.
    layers = np.stack([np.diag([s, 0.0]) for s in (0.8, 0.5, 0.3)])
    defects = chains.defects(layers)
    wanted = defects + 1e-6 * np.array([[[1.0, 0.0], [0.0, 0.0]], [[-2.0, 0.0], [0.0, 0.0]]])
    found = on_defects(layers, wanted)
    assert np.abs(chains.defects(found) - wanted).max() < ROUNDING
    assert (found[:, 1] == 0).all() and (found[:, :, 1] == 0).all()
    assert np.abs(chains.defects(layers) - wanted).max() > 1e-7
    nothing = np.zeros((3, 2, 2))
    assert np.array_equal(on_defects(nothing, np.zeros((2, 2, 2))), nothing)
