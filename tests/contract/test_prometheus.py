"""The Prometheus that is asked: a real one, and one in whose place something else answers."""

import asyncio
import base64
import signal
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from services.matching import Selector
from services.orchestrator.adapters.prometheus import PARALLEL, Prometheus, Target, prometheus
from services.orchestrator.domain.evidence.evidence import Cause, Level, NoAnswer, Sample, Saturation, Slo, Threshold
from services.orchestrator.handlers.evidence import Evidence, Watch
from services.orchestrator.metrics import OrchestratorMetrics
from services.runtime.clock import ManualClock
from tests.conftest import need
from tests.support import prometheus as prometheus_support
from tests.support.numbers import NumberServer
from tests.support.processes import free_port
from tests.support.prometheus import Prometheus as Server

THEN = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(days=1)
MINUTE = timedelta(minutes=1)
PATIENCE = timedelta(seconds=5)
IMPATIENCE = timedelta(seconds=0.5)
SECRET = "glpat-very-secret"


def every_15_seconds(*minutes: float) -> list[tuple[datetime, float]]:
    """A value for each minute, the last one's end at `THEN`."""
    start = THEN - MINUTE * len(minutes)
    return [(start + MINUTE * index + timedelta(seconds=15 * part), value)
            for index, value in enumerate(minutes) for part in range(4)]  # fmt: skip


PAST = {
    'error_ratio{service="web"}': every_15_seconds(0.0, 0.0, *[0.034] * 8),
    'error_ratio{service="db"}': every_15_seconds(*[0.001] * 10),
    'short{service="web"}': every_15_seconds(0.5)[:2],
}


@pytest.fixture(scope="module")
def server(pytestconfig: pytest.Config) -> Iterator[Server]:
    need(pytestconfig, "Prometheus", prometheus_support.unavailable())
    server = Server(PAST)
    server.exporter.text = "disk_used 0.95\n"
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def real(server: Server) -> AsyncIterator[Prometheus]:
    async with prometheus(Target(server.url)) as opened:
        yield opened


@pytest.fixture
async def place() -> AsyncIterator[NumberServer]:
    async with NumberServer() as server:
        yield server


async def both(asked: Prometheus, query: str, at: datetime = THEN) -> list[object]:
    """The answer over five minutes, and that at their end."""
    return [await asked.window(query, at - 5 * MINUTE, at, MINUTE), await asked.latest(query, at)]


def causes(answers: Sequence[object]) -> list[Cause | None]:
    return [answer.cause if isinstance(answer, NoAnswer) else None for answer in answers]


class TestARealPrometheus:
    async def test_a_window_has_a_value_for_each_step(self, real: Prometheus) -> None:
        samples = await real.window('error_ratio{service="web"}', THEN - 5 * MINUTE, THEN, MINUTE)
        expected: list[Sample] = [(THEN - MINUTE * age, 0.034) for age in range(5, -1, -1)]
        assert samples == expected

    async def test_the_latest_value_is_that_of_the_moment(self, real: Prometheus) -> None:
        assert await real.latest('error_ratio{service="web"}', THEN) == (THEN, 0.034)
        assert await real.latest('error_ratio{service="web"} * 0', THEN) == (THEN, 0.0)
        assert await real.latest("scalar(vector(3))", THEN) == (THEN, 3.0)

    async def test_what_is_scraped_now_can_be_asked(self, server: Server, real: Prometheus) -> None:
        server.child.wait_ready(lambda: server.scraped("disk_used"), 20)
        sample = await real.latest("disk_used", datetime.now(UTC))
        assert not isinstance(sample, NoAnswer)
        assert sample[1] == 0.95

    async def test_where_there_are_no_values_there_are_no_samples(self, real: Prometheus) -> None:
        samples = await real.window('max_over_time(short{service="web"}[30s])', THEN - 5 * MINUTE, THEN, MINUTE)
        assert not isinstance(samples, NoAnswer)
        assert [at for at, _ in samples] == [THEN - MINUTE]

    @pytest.mark.parametrize(
        ("query", "cause"),
        [
            ('error_ratio{service="web"}[5m]', Cause.MATRIX),
            ("error_ratio", Cause.MANY_SERIES),
            ("nothing_like_it", Cause.NO_DATA),
            ("error_ratio - error_ratio == 1", Cause.NO_DATA),
            ("vector(0) / 0", Cause.NOT_A_NUMBER),
            ("1 / 0", Cause.NOT_A_NUMBER),
            ("sum(error_ratio", Cause.BAD_QUERY),
            ("error_ratio * on() group_left() error_ratio", Cause.BAD_QUERY),
        ],
    )
    async def test_a_query_that_gives_no_number_says_what_was_expected(self, real: Prometheus, query: str, cause: Cause) -> None:
        answers = await both(real, query)
        assert causes(answers) == [cause, cause]
        for answer in answers:
            assert isinstance(answer, NoAnswer)
            assert "expected one number" in answer.sentence or cause is Cause.BAD_QUERY

    async def test_a_string_is_no_number(self, real: Prometheus) -> None:
        answers = await both(real, '"web"')
        assert set(causes(answers)) <= {Cause.NOT_A_NUMBER, Cause.BAD_QUERY}

    async def test_rounds_of_evidence_judge_what_it_answers(self, server: Server) -> None:
        def slo(service: str) -> Slo:
            query = f'error_ratio{{service="{service}"}}'
            return Slo(service, Selector(), query, Threshold(above=0.01), Threshold(above=0.1))

        disk = Saturation("disk", 'error_ratio{service="db"} * 950', Threshold(above=0.9))
        watch = Watch([slo("web"), slo("db"), slo("none")], [disk], connect=lambda: prometheus(Target(server.url)))
        evidence = Evidence(lambda: watch, ManualClock(THEN), OrchestratorMetrics(CollectorRegistry()))
        await evidence.round()
        states = {**evidence.states(), **evidence.saturation()}
        assert {name: state.level for name, state in states.items()} == {
            "web": Level.DEGRADED, "db": Level.OK, "none": Level.UNKNOWN, "disk": Level.DEGRADED,
        }  # fmt: skip
        assert states["web"].sentence == "web: 0.034 above 0.01 for 5 minutes (degraded)"
        assert states["disk"].sentence == "disk: 0.95 above 0.9 (saturated)"

    async def test_one_that_hangs_costs_no_more_than_the_patience(self, server: Server) -> None:
        server.child.signal(signal.SIGSTOP)
        try:
            async with prometheus(Target(server.url, IMPATIENCE)) as hanging, asyncio.timeout(5):
                assert causes(await both(hanging, "disk_used")) == [Cause.TIMEOUT, Cause.TIMEOUT]
        finally:
            server.child.signal(signal.SIGCONT)


@pytest.mark.parametrize(
    ("word", "cause", "said"),
    [
        ("matrix", Cause.MATRIX, "expected one number, Prometheus answered a range vector; wrap it, e.g. rate(…)"),
        ("empty", Cause.NO_DATA, "has no data for the query; if that means zero, write: … or vector(0)"),
        ("nan", Cause.NOT_A_NUMBER, "expected one number, Prometheus answered NaN at"),
        ("inf", Cause.NOT_A_NUMBER, "expected one number, Prometheus answered +Inf at"),
        ("series", Cause.MANY_SERIES, "expected one number, Prometheus answered several series; wrap it, e.g. sum(…)"),
        ("stamp", Cause.GARBAGE, "expected an answer of Prometheus, got series without numbers"),
        ("slow", Cause.TIMEOUT, "within 0.5 s"),
        ("drip", Cause.TIMEOUT, "within 0.5 s"),
        ("503", Cause.TIMEOUT, "query timed out in expression evaluation"),
        ("huge", Cause.GARBAGE, "expected one number, got more than 1,048,576 bytes"),
        ("bomb", Cause.GARBAGE, "got something else (200); is prometheus.url right?"),
        ("html", Cause.GARBAGE, "got something else (200); is prometheus.url right?"),
        ("json", Cause.GARBAGE, "got something else (200); is prometheus.url right?"),
        ("deep", Cause.GARBAGE, "got something else (200); is prometheus.url right?"),
        ("302", Cause.GARBAGE, "got a redirect (302), which is not followed; prometheus.url must be the final address"),
        ("401", Cause.UNAUTHORIZED, "(401)"),
        ("500", Cause.UNREACHABLE, "got a server's error (500)"),
        ("internal", Cause.UNREACHABLE, "Prometheus cannot answer now: storage is broken"),
        ("execution", Cause.BAD_QUERY, "Prometheus refuses the query: many-to-many matching not allowed"),
        ("reset", Cause.UNREACHABLE, "cannot be asked"),
        ("half", Cause.UNREACHABLE, "cannot be asked"),
    ],
)  # fmt: skip
async def test_what_else_may_answer_is_said_in_words(place: NumberServer, word: str, cause: Cause, said: str) -> None:
    place.says["q"] = word
    async with prometheus(Target(place.url, IMPATIENCE)) as asked, asyncio.timeout(5):
        for answer in await both(asked, "q"):
            assert isinstance(answer, NoAnswer)
            assert (answer.cause, said in answer.sentence) == (cause, True), answer.sentence


@pytest.mark.parametrize(
    ("word", "cause"), [("string", Cause.NOT_A_NUMBER), ("histogram", Cause.NOT_A_NUMBER), ("scalar", Cause.GARBAGE)]
)
async def test_what_only_the_latest_value_can_be(place: NumberServer, word: str, cause: Cause) -> None:
    place.says["q"] = word
    async with prometheus(Target(place.url, PATIENCE)) as asked:
        assert causes([await asked.latest("q", THEN)]) == [cause]


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "https://127.0.0.1:{port}", "http://[::1", "ftp://x", "http://"])
async def test_an_address_where_nobody_is_says_so(url: str) -> None:
    async with prometheus(Target(url.format(port=free_port()), PATIENCE)) as asked:
        assert causes(await both(asked, "q")) == [Cause.UNREACHABLE, Cause.UNREACHABLE]


async def test_only_a_few_questions_are_open_at_once(place: NumberServer) -> None:
    place.says |= {"q": "slow", "other": 1.0}
    async with prometheus(Target(place.url, PATIENCE)) as asked, prometheus(Target(place.url, PATIENCE)) as another:
        questions = asyncio.gather(*(asked.latest("q", THEN) for _ in range(3 * PARALLEL)))
        await place.asked_for(PARALLEL)
        assert causes([await another.latest("other", THEN)]) == [None]
        assert len(place.asked) == PARALLEL + 1
        questions.cancel()
        await asyncio.gather(questions, return_exceptions=True)


async def test_prometheus_is_told_the_time_it_has_and_that_two_series_are_enough(place: NumberServer) -> None:
    place.says["q"] = 1.0
    async with prometheus(Target(place.url, PATIENCE)) as asked:
        await both(asked, "q")
    window, latest = place.asked
    at = f"{THEN.timestamp():.3f}"
    common = {"query": "q", "timeout": "5.000", "limit": "2"}
    assert window.form == {**common, "start": f"{THEN.timestamp() - 300:.3f}", "end": at, "step": "60.000"}
    assert latest.form == {**common, "time": at}
    assert [question.path for question in place.asked] == ["query_range", "query"]


class TestCredentials:
    async def shown(self, place: NumberServer, target: Target) -> str | None:
        """The header that the server saw."""
        place.says["q"] = 1.0
        async with prometheus(target) as asked:
            assert causes([await asked.latest("q", THEN)]) == [None]
        return place.asked[-1].headers.get("Authorization")

    async def test_a_token_or_a_name_with_a_password_is_shown(self, place: NumberServer, tmp_path: Path) -> None:
        file = tmp_path / "secret"
        file.write_text(f" {SECRET}\nsecond line\n")
        target = Target(place.url, PATIENCE)
        assert await self.shown(place, target) is None
        assert await self.shown(place, replace(target, token_file=file)) == f"Bearer {SECRET}"
        word = base64.b64encode(f"ann:{SECRET}".encode()).decode()
        assert await self.shown(place, replace(target, username="ann", password_file=file)) == f"Basic {word}"

    @pytest.mark.parametrize("content", [None, "", "\n", "tökén\n", "a\x00b\n", b"\xff\xfe"])
    async def test_a_file_without_a_secret_is_named_and_nothing_is_asked(
        self, place: NumberServer, tmp_path: Path, content: str | bytes | None
    ) -> None:
        file = tmp_path / "secret"
        if content is not None:
            file.write_bytes(content.encode() if isinstance(content, str) else content)
        async with prometheus(Target(place.url, PATIENCE, token_file=file)) as asked:
            answer = await asked.latest("q", THEN)
        assert isinstance(answer, NoAnswer)
        assert (answer.cause, str(file) in answer.sentence, place.asked) == (Cause.UNAUTHORIZED, True, [])

    @pytest.mark.parametrize("username", [None, "ann"])
    async def test_a_secret_is_never_repeated_even_if_the_server_does(
        self, place: NumberServer, tmp_path: Path, username: str | None
    ) -> None:
        file = tmp_path / "secret"
        file.write_text(SECRET)
        ways = {"token_file": file} if username is None else {"password_file": file}
        target = Target(place.url, PATIENCE, username=username, **ways)
        place.says["q"] = "echo"
        async with prometheus(target) as asked:
            for answer in await both(asked, "q"):
                assert isinstance(answer, NoAnswer)
                assert "(hidden)" in answer.sentence
                assert SECRET not in answer.sentence
                assert base64.b64encode(f"ann:{SECRET}".encode()).decode() not in answer.sentence
        assert SECRET not in repr(vars(asked))
