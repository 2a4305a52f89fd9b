"""The pipeline's datasets as partitioned assets, for people who want Dagster's web view.

    pip install -e '.[dagster]'
    dagster dev -m app.dagster_assets

Each asset is one dataset; a partition of it is one ticker and one session. Materialising one does
what `etl_pipeline.py` does for it, through the same ledger: what is whole is left alone, and both may
run side by side. Tickers come from `PIPELINE_TICKERS` (QQQ,SPY), sessions from the calendar, from
`PIPELINE_START` (a year back) on.
"""

# Dagster reads annotations when a function is decorated: they must not be texts.

from datetime import date, timedelta
from typing import Final

from dagster import (
    AssetExecutionContext,
    AssetsDefinition,
    Definitions,
    Failure,
    MaterializeResult,
    MultiPartitionKey,
    MultiPartitionsDefinition,
    StaticPartitionsDefinition,
    asset,
)

from app import cli
from app.etl_command import DEFAULT_TICKERS, Asked, run_pipeline
from pipeline.datasets import DATASETS, Dataset
from pipeline.etl_events import EtlEvent, PartitionDone
from utils import market_calendar
from utils.clock import wall_clock
from utils.settings import Settings, load

YEAR: Final = timedelta(days=365)


class AssetSettings(Settings):
    """Which partitions the assets have.

    Attributes:
        pipeline_tickers: Underlyings, with commas between.
        pipeline_start: First day; None for a year back.
    """

    pipeline_tickers: str = ",".join(DEFAULT_TICKERS)
    pipeline_start: date | None = None


def partitions(settings: AssetSettings, today: date) -> MultiPartitionsDefinition:
    """Return a partition for each ticker and session that is over.

    Args:
        settings: Which.
        today: Day in New York.
    """
    first = settings.pipeline_start or today - YEAR
    days = [str(each.day) for each in market_calendar.sessions(first, today) if each.day < today]
    tickers = [
        each.strip().upper() for each in settings.pipeline_tickers.split(",") if each.strip()
    ]
    return MultiPartitionsDefinition(
        {"ticker": StaticPartitionsDefinition(tickers), "session": StaticPartitionsDefinition(days)}
    )


def asset_of(what: Dataset, of: MultiPartitionsDefinition) -> AssetsDefinition:
    """Return one dataset as an asset.

    Args:
        what: The dataset.
        of: Its partitions.
    """

    @asset(name=what.name, partitions_def=of, group_name="market_data")
    def materialise(context: AssetExecutionContext) -> MaterializeResult[None]:
        key = context.partition_key
        if not isinstance(key, MultiPartitionKey):
            raise Failure(f"{key} names no ticker and session")
        ticker, day = (key.keys_by_dimension[name] for name in ("ticker", "session"))
        done: list[PartitionDone] = []

        def see(event: EtlEvent) -> None:
            if isinstance(event, PartitionDone):
                done.append(event)

        session = date.fromisoformat(day)
        asked = Asked(tickers=(ticker,), start=session, end=session, datasets=(what.name,))
        if run_pipeline(asked, as_json=True, see=see) != cli.OK:
            reasons = [each.outcome.reason or "it was given up earlier" for each in done]
            raise Failure("; ".join(reasons) or "it was given up earlier: run --retry-failed")
        return MaterializeResult(
            metadata={
                "rows": sum(each.outcome.rows for each in done),
                "source": ", ".join(sorted({each.outcome.source or "" for each in done})),
                "kept": not done,
            }
        )

    return materialise


def definitions(settings: AssetSettings | None = None) -> Definitions:
    """Return the assets of all datasets that sessions of the past have.

    Args:
        settings: Read from the environment and `.env` when None.
    """
    today = wall_clock().astimezone(market_calendar.NEW_YORK).date()
    of = partitions(settings or load(AssetSettings), today)
    return Definitions([asset_of(what, of) for what in DATASETS.values() if what.is_past])


defs = definitions()
"""What `dagster dev -m app.dagster_assets` looks for."""
