"""Forwards, rates and volatilities from the quotes of American chains that were made with them."""

import numpy as np
import pytest

from black_scholes import american, calculator
from black_scholes.chain_smiles import ChainQuotes, chain_carry, chain_vols, pairs, quoted_smiles

SPOT, RATE, YIELD = 500.0, 0.04, 0.006


def made(*, american_style: bool, half_spread: float = 0.03) -> tuple[ChainQuotes, np.ndarray]:
    """Quotes on cents around prices at known volatilities, and these."""
    years, strike, call = (
        x.ravel()
        for x in np.meshgrid(
            [0.01, 0.1, 0.5, 1.5], np.arange(400.0, 600.0, 2.5), [True, False], indexing="ij"
        )
    )
    vol = 0.2 - 0.15 * np.log(strike / SPOT) / np.sqrt(1.0 + years)
    model = american if american_style else calculator
    price = model.price(SPOT, strike, years, RATE, vol, YIELD, is_call=call)
    bid = np.floor((price - half_spread) * 100 + 1e-6) / 100
    chain = ChainQuotes(
        expiration=np.round(years * 365).astype(np.int64),
        years=years,
        strike=strike,
        is_call=call,
        bid=np.where(bid > 0, bid, np.nan),
        ask=np.ceil((price + half_spread) * 100 - 1e-6) / 100,
    )
    return chain, vol


@pytest.mark.parametrize("expected", [0.03, 0.05])
@pytest.mark.parametrize("late", [0.999, 1.001])
def test_european_forwards_do_not_hang_on_a_guessed_rate_or_a_late_spot(
    expected: float, late: float
) -> None:
    chain, _ = made(american_style=False)
    found = chain_carry(chain, SPOT * late, rate=expected, rate_error=0.01, american_style=False)
    assert found.forward == pytest.approx(SPOT * np.exp((RATE - YIELD) * chain.years), rel=1e-5)
    assert found.rate[chain.years > 0.2] == pytest.approx(RATE, abs=3e-4)


@pytest.mark.parametrize("expected", [0.038, 0.042])
@pytest.mark.parametrize("late", [0.999, 1.001])
def test_american_forwards_are_freed_of_the_premium(expected: float, late: float) -> None:
    # Rate and premium are told apart only as far as the rate is known beforehand.
    chain, _ = made(american_style=True)
    found = chain_carry(chain, SPOT * late, rate=expected, rate_error=0.003)
    true = SPOT * np.exp((RATE - YIELD) * chain.years)
    near = chain.years < 0.2
    assert found.forward[near] == pytest.approx(true[near], rel=1e-4)
    assert found.forward == pytest.approx(true, rel=1.5e-3)
    assert found.common_spot == pytest.approx(SPOT, rel=1e-3)


@pytest.mark.parametrize("style", [True, False])
def test_volatilities_are_those_that_made_the_quotes(style: bool) -> None:
    chain, true = made(american_style=style)
    found = chain_vols(chain, SPOT, rate=RATE, rate_error=0.002, american_style=style)
    middle = (np.abs(found.delta) > 0.2) & (np.abs(found.delta) < 0.8) & (chain.bid > 0)
    assert found.mid[middle] == pytest.approx(true[middle], abs=0.004)
    assert np.mean(np.abs(found.mid - true)[middle] < 0.001) > 0.9
    inside = (found.bid <= true) & (true <= found.ask)
    assert inside[middle].mean() > (0.85 if style else 0.99)


def test_missing_sides_and_expired_rows_have_defined_values() -> None:
    chain, _ = made(american_style=True)
    chain.bid[:40] = np.nan
    chain.ask[10] = np.nan
    expired = chain._replace(years=np.where(chain.years < 0.05, -0.01, chain.years))
    found = chain_vols(expired, SPOT, rate=RATE)
    gone = expired.years < 0
    assert np.isnan(found.mid[gone]).all()
    alive = (expired.years > 0.05) & (chain.bid > 0) & (np.abs(found.delta) < 0.7)
    assert np.isfinite(found.mid[alive]).all()
    no_bid = chain_vols(chain, SPOT, rate=RATE)
    quoted = np.isnan(chain.bid) & (no_bid.ask > 0)
    assert quoted.any()
    assert (no_bid.bid[quoted] == 0).all()


def test_quoted_smiles_are_out_of_the_money_by_expiration() -> None:
    chain, _ = made(american_style=True)
    smiles = quoted_smiles(chain, chain_vols(chain, SPOT, rate=RATE))
    assert list(smiles) == [4, 36, 182, 548]
    assert [round(each.years, 2) for each in smiles.values()] == [0.01, 0.1, 0.5, 1.5]
    few = chain._replace(ask=np.where(chain.years < 0.05, np.nan, chain.ask))
    assert list(quoted_smiles(few, chain_vols(few, SPOT, rate=RATE))) == [36, 182, 548]


def test_pairs_are_of_one_strike_and_expiration() -> None:
    chain, _ = made(american_style=True)
    call, put = pairs(chain)
    assert call.size == chain.strike.size // 2
    assert (chain.strike[call] == chain.strike[put]).all()
    assert (chain.expiration[call] == chain.expiration[put]).all()
    assert chain.is_call[call].all()
    assert not chain.is_call[put].any()
