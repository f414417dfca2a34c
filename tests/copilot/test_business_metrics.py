"""Declared business metrics: PromQL, SQL and CSV to the slice in the brief, and what is refused."""

import sqlite3
from pathlib import Path

import numpy as np
import psycopg
import pytest

from copilot.case.subjects import users_hit
from copilot.ports import SourceError
from copilot.sources import business_sql
from copilot.sources.business import MetricColumns
from copilot.sources.business_metrics import BusinessFileError, BusinessMetrics, declared
from copilot.sources.deployment import Sources
from copilot.sources.json_api import ApiEndpoint, JsonApi
from copilot.sources.prometheus import PrometheusClient
from copilot.sources.prometheus.client import Vector
from evals.torture.databases import databases
from tools.evidence import number
from tools.types import Timestamp, Window

HOUR, ONSET = Window(start=0.0, end=3540.0), 3300.0
SELECT = "SELECT minute AS time, isp, region, n AS value FROM orders WHERE minute <= :end"
LEAVES = tuple((isp, region) for isp in ("telecom", "mobile") for region in ("south", "north"))


def orders(minute: int, leaf: tuple[str, str]) -> int:
    """A hundred a minute, and none for telecom in the south from the onset on."""
    gone = leaf == ("telecom", "south") and minute * 60 >= ONSET
    return 0 if gone else 100 + minute % 2


def csv_file(folder: Path) -> str:
    rows = [f"{m * 60},{isp},{r},{orders(m, (isp, r))}" for m in range(60) for isp, r in LEAVES]
    path = folder / "orders.csv"
    path.write_text("\n".join(["time,isp,region,value", *rows]))
    return f'csv = "{path}"'


def sqlite_file(folder: Path) -> str:
    path = folder / "orders.sqlite"
    with sqlite3.connect(path) as opened:
        opened.execute("CREATE TABLE orders (minute int, isp text, region text, n int)")
        opened.executemany(
            "INSERT INTO orders VALUES (?, ?, ?, ?)",
            [(m * 60, *leaf, orders(m, leaf)) for m in range(60) for leaf in LEAVES],
        )
    opened.close()
    return f'sql = "{SELECT};"\nurl_env = "ORDERS_DB_URL"'


class ScrapedOrders(PrometheusClient):
    """Answers every range with the orders, a series a leaf."""

    def __init__(self) -> None:
        super().__init__(JsonApi("Prometheus", ApiEndpoint("http://127.0.0.1:9"), timeout_s=1.0))

    def range(
        self, expression: str, start: Timestamp, end: Timestamp, step: float
    ) -> tuple[Vector, ...]:
        times = np.linspace(0.0, 3540.0, 60)
        return tuple(
            Vector(
                {"__name__": "orders", "isp": leaf[0], "region": leaf[1]},
                times,
                np.array([float(orders(minute, leaf)) for minute in range(60)]),
            )
            for leaf in LEAVES
        )


def told(folder: Path, *tables: str) -> BusinessMetrics:
    path = folder / "business.toml"
    path.write_text("\n".join(f'[[metric]]\nname = "orders"\n{table}' for table in tables))
    environment = {"ORDERS_DB_URL": f"sqlite:///{folder / 'orders.sqlite'}"}
    return declared(path, environment, ScrapedOrders())


@pytest.mark.parametrize(
    "table", [csv_file, sqlite_file, lambda _: "promql = 'sum by (isp, region) (orders)'"],
    ids=["csv", "sql", "promql"],
)  # fmt: skip
def test_a_metric_that_departs_says_its_slice_wherever_it_comes_from(
    tmp_path: Path, table: object
) -> None:
    assert callable(table)
    (found,) = told(tmp_path, str(table(tmp_path))).slices(HOUR, ONSET)
    assert found.statement.startswith("orders 3")
    assert "isp=telecom in region=south" in found.statement
    assert "isp=telecom、region=south" in found.statement_zh
    evidence = number([found])
    assert users_hit(evidence, "en") == (f"{found.statement} [E1]",)
    assert users_hit(evidence, "zh") == (f"{found.statement_zh} [E1]",)


def test_a_metric_as_usual_says_nothing_and_a_broken_one_hides_no_other(tmp_path: Path) -> None:
    source = told(tmp_path, 'csv = "/none.csv"', csv_file(tmp_path))
    assert source.slices(Window(start=0.0, end=3200.0), 3000.0) == []
    look = Sources(business=source).look(HOUR, ONSET)
    assert [one.name for one in look.findings] == ["slice"]
    assert any("business metrics: /none.csv: cannot be read" in one for one in look.missing)
    assert not any("business" in one for one in Sources().look(HOUR, ONSET).missing)


def test_a_departure_of_two_moments_is_an_alert_that_keeps_its_start_and_lapses(
    tmp_path: Path,
) -> None:
    source = told(tmp_path, csv_file(tmp_path))
    assert source.alerts(ONSET + 60.0) == []
    (first,) = source.alerts(ONSET + 120.0)
    (again,) = source.alerts(ONSET + 240.0)
    assert (first.starts_at, again.starts_at) == (ONSET, ONSET)
    assert first.fingerprint == again.fingerprint
    assert (first.name, first.subject.name) == ("BusinessMetricDeparted", "orders")
    assert again.lease == ONSET + 240.0 + 180.0
    broken = told(tmp_path, 'csv = "/none.csv"')
    assert broken.alerts(ONSET) == []


def test_a_source_that_fails_once_does_not_begin_the_alert_anew(tmp_path: Path) -> None:
    source = told(tmp_path, csv_file(tmp_path))
    path = next(tmp_path.glob("*.csv"))
    assert [one.starts_at for one in source.alerts(ONSET + 120.0)] == [ONSET]
    away = path.rename(tmp_path / "away")
    assert source.alerts(ONSET + 900.0) == []
    away.rename(path)
    assert [one.starts_at for one in source.alerts(ONSET + 960.0)] == [ONSET]


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        ("", "metric: "),
        ('[[metric]]\nname = "a"', "one of promql, sql and csv"),
        ('[[metric]]\nname = "a"\ncsv = "x"\nsql = "SELECT 1"', "one of promql, sql and csv"),
        ('[[metric]]\nname = "a"\nsql = "SELECT 1"', "url or url_env"),
        ('[[metric]]\nname = "a"\ncsv = "x"\nweight = 1', "weight: is not a key"),
        ('[[metric]]\nname = "a"\nurl = "sqlite://"\nsql = "DROP TABLE a"', "is no SELECT"),
        ('[[metric]]\nname = "a"\nurl_env = "NOPE"\nsql = "SELECT 1"', "'NOPE' is not set"),
        ('[[metric]]\nname = "a"\nurl = "oracle://u:hush@h"\nsql = "SELECT 1"', "'oracle'; "),
        ('[[metric]]\nname = "a"\npromql = "up"', "needs prometheus_url"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused_and_no_address_repeated(
    tmp_path: Path, written: str, problem: str
) -> None:
    path = tmp_path / "business.toml"
    path.write_text(written)
    with pytest.raises(BusinessFileError, match=problem) as error:
        declared(path, {}, None)
    assert "hush" not in str(error.value)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM orders",
        "SELECT 1; DELETE FROM orders",
        "WITH gone AS (DELETE FROM orders RETURNING *) SELECT * FROM gone",
        "SELECT * INTO copy FROM orders",
        "SELECT * FROM orders FOR UPDATE",
        "SELECT /*!50000 sleep(9) */ 1",
        "SELECT 'it\\'; DELETE FROM orders; --'",
        "SELECT $a$;$a$",
        "SELECT 'open",
        "EXPLAIN SELECT 1",
        "PRAGMA query_only = OFF",
        "",
    ],
)
def test_what_is_not_one_plain_select_is_refused(statement: str) -> None:
    with pytest.raises(ValueError, match=r"is no|is more|holds"):
        business_sql.checked(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT created, updated_at FROM orders -- ; DROP TABLE orders",
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a;",
        "SELECT 'a; DELETE' AS \"into\"",
    ],
)
def test_words_in_quotes_comments_and_names_are_no_commands(statement: str) -> None:
    assert business_sql.checked(statement)


def test_the_database_itself_is_told_to_read_only_and_to_give_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_file(tmp_path)
    url = business_sql.address(f"sqlite:///{tmp_path / 'orders.sqlite'}")
    endless = (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) "
        "SELECT x AS time, 'a' AS isp, sum(x) AS value FROM n"
    )
    with pytest.raises(SourceError, match="the database said: interrupted"):
        business_sql.read_sql("n", url, endless, HOUR, MetricColumns(), 0.05)
    monkeypatch.setattr(business_sql, "checked", lambda statement: statement)
    monkeypatch.setattr(business_sql, "_WRAPPED", "{statement}")
    with pytest.raises(SourceError, match="readonly"):
        business_sql.read_sql("n", url, "DELETE FROM orders", HOUR, MetricColumns(), 5.0)


@pytest.mark.integration
def test_postgresql_reads_in_a_transaction_that_cannot_write() -> None:
    with databases("postgresql") as (server,):
        given = server.fresh()
        with psycopg.connect(given, autocommit=True) as opened:
            opened.execute("CREATE TABLE orders (minute int, isp text, region text, n int)")
            opened.execute("INSERT INTO orders VALUES (0, 'a', 'b', 1), (60, 'a', 'b', 2)")
            opened.execute(
                "CREATE FUNCTION forget() RETURNS int LANGUAGE sql "
                "AS 'DELETE FROM orders; SELECT 1'"
            )
        url = business_sql.address(given)
        read = business_sql.read_sql("o", url, SELECT, HOUR, MetricColumns(), 5.0)
        assert read.values.tolist() == [[1.0, 2.0]]
        for statement, problem in (
            (f"{SELECT} AND forget() = 1", "read-only transaction"),
            (f"{SELECT} AND pg_sleep(9) IS NULL", "PG_SLEEP, and may only read"),
            ("SELECT count(*) AS value, 1 AS time, 'a' AS isp FROM generate_series(1, 9) g, "
             "generate_series(1, 99999999) h", "statement timeout"),
        ):  # fmt: skip
            with pytest.raises((SourceError, ValueError), match=problem):
                business_sql.read_sql("o", url, statement, HOUR, MetricColumns(), 0.3)
