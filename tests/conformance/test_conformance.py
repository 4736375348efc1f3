"""What a stage may rely on, whoever joins, leaves, is slow or is out: on Faust and the real broker, and simulated."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable
from pathlib import Path

import pytest

from streams.app import make_app
from streams.checkpoint import Checkpointer, Output
from streams.message import Message
from streams.producer import Fenced
from streams.timers import Timers
from tests.conformance.running import PARTITIONS, PAUSE, Counting, OnFaust, Runtime, simulated
from tests.conftest import eventually

Scenario = Callable[[Runtime], Awaitable[None]]


class Recorder:
    """A stage that keeps what it was given, and holds the runtime to its promises."""

    checkpoint: Checkpointer

    def __init__(self, words: str = "") -> None:
        self.given: set[tuple[int, int]] = set()  # partition, offset
        self.fired: Counter[int] = Counter()
        self.forgotten = 0
        self._tenures: dict[int, list[int]] = defaultdict(list)  # offsets by partition, since it was assigned
        self._owned: set[int] = set()
        self._undrained: set[int] = set()
        self._words = words
        self.timers = Timers(self._fire)

    async def assigned(self, partitions: set[int]) -> None:
        self._tenures.clear()
        self._owned = partitions
        self.timers.own(partitions)

    def take(self, message: Message, checkpoint: Checkpointer) -> None:
        partition, offset = message.partition, message.offset
        assert partition in self._owned, "a partition that was revoked, or is not assigned yet"
        before = self._tenures[partition]
        assert not before or offset == before[-1] + 1, "out of order, or with a gap"
        before.append(offset)
        self.given.add((partition, offset))
        self._undrained.add(partition)
        self.timers.push(0.0, partition, b"%d" % offset)
        store = checkpoint.store(partition)
        store.put(b"count", b"%d" % (int(store.get(b"count") or 0) + 1))
        if self._words:
            checkpoint.send_after(partition, Output(self._words, b"%d" % partition, b"%d" % offset))

    def drain(self, partition: int) -> Iterable[Output]:
        assert partition in self._owned, "a checkpoint of a partition that was revoked"
        self._undrained.discard(partition)
        return ()

    def forget(self, partitions: Collection[int]) -> None:
        self.forgotten += len(set(partitions) & self._owned)
        self._owned = self._owned - set(partitions)
        self._undrained -= set(partitions)
        self.timers.forget(partitions)

    def _fire(self, partition: int, _: bytes, __: float) -> None:
        assert partition in self._owned, "a timer of a partition that was revoked"
        self.fired[partition] += 1

    def settled(self) -> bool:
        """Whether all that was taken has been drained, and every timer has fired."""
        return not self._undrained and not len(self.timers)


@pytest.fixture(params=["faust", "simulated"])
def hold(request: pytest.FixtureRequest, topic_prefix: str, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs a scenario on one of the runtimes."""
    if request.param == "simulated":
        return simulated
    bootstrap = request.getfixturevalue("kafka_bootstrap")

    async def run(scenario: Scenario) -> None:
        await scenario(await OnFaust(bootstrap, topic_prefix, tmp_path).begin())

    return lambda scenario: asyncio.run(run(scenario))


def test_each_partition_comes_in_order_and_without_gaps_to_whoever_has_it(hold: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: Runtime) -> None:
        done, stages = asyncio.Event(), [Recorder() for _ in range(3)]
        one, two, three = stages

        async def publish() -> int:
            sent = 0
            while not done.is_set():
                await runtime.publish(200)
                sent += 200
            return sent

        def enough(*those: Recorder) -> bool:
            return all(len(stage.given) > 300 for stage in those)

        async def committed() -> bool:
            return await runtime.behind() == 0

        publishing = asyncio.create_task(publish())
        async with runtime.worker("one", one, assigned=one.assigned, beside=[one.timers.run()]):
            async with runtime.worker("two", two, assigned=two.assigned, beside=[two.timers.run()]):
                await eventually(lambda: enough(one, two), deadline=60)
            async with runtime.worker("three", three, assigned=three.assigned, beside=[three.timers.run()]):
                await eventually(lambda: enough(three), deadline=60)
                done.set()
                sent = await publishing
                await eventually(lambda: len(one.given | two.given | three.given) == sent, deadline=60)
                await eventually(committed)
                await eventually(lambda: one.settled() and three.settled())
        assert all(stage.fired for stage in stages)
        assert one.forgotten

    hold(scenario)


def test_a_run_that_a_rebalance_interrupts_holds_up_no_commit(hold: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: Runtime) -> None:
        one, two = Recorder(), Recorder()
        await runtime.publish(2000)
        async with (
            runtime.worker("one", one, assigned=one.assigned),
            runtime.worker("two", two, assigned=two.assigned),
        ):
            await runtime.publish(2000)
            await eventually(lambda: len(one.given | two.given) == 4000, deadline=60)

            async def committed() -> bool:
                return await runtime.behind() == 0

            await eventually(committed)

    hold(scenario)


def test_whose_partitions_were_taken_over_can_neither_keep_nor_say_nor_commit(hold: Callable[[Scenario], None]) -> None:
    async def scenario(runtime: Runtime) -> None:
        words = f"{runtime.topic}-words"
        stage, before = Recorder(words), list[tuple[bytes | None, bytes | None]]()

        async def said() -> bool:
            return len(await runtime.log(words)) == 40 and await runtime.behind() == 0

        async def work_until_it_is_out() -> None:
            async with runtime.worker("one", stage, assigned=stage.assigned) as running:
                await runtime.publish(40)
                await eventually(said)
                await runtime.usurp(stage.checkpoint.changelog)
                before.extend(await runtime.log(stage.checkpoint.changelog))
                await runtime.publish(40)
                await eventually(running.done, deadline=60)

        with pytest.raises(Fenced):
            await work_until_it_is_out()
        assert len(stage.given) > 40
        assert await runtime.log(stage.checkpoint.changelog) == before
        assert len(await runtime.log(words)) == 40
        assert await runtime.behind() == 40

    hold(scenario)


def test_who_was_paused_for_longer_than_its_session_changes_nothing_when_it_goes_on(
    hold: Callable[[Scenario], None],
) -> None:
    async def scenario(runtime: Runtime) -> None:
        words, two = f"{runtime.topic}-words", Counting(f"{runtime.topic}-words")

        async def counted(each: int) -> bool:
            """Whether so many messages of each partition have been counted, each once, and said; and all are done."""
            said = defaultdict[bytes, set[int]](set)
            for key, value in await runtime.log(words):
                said[key or b""].add(int(value or b""))
            told = [said[b"%d" % number] == set(range(1, each + 1)) for number in range(PARTITIONS)]
            return all(told) and await runtime.behind() == 0

        async with runtime.process("one") as one:
            await runtime.publish(40)
            await eventually(lambda: counted(10), deadline=60)
            await runtime.publish(40, PAUSE)  # it stops with the first, which it has counted and not kept
            async with runtime.worker("two", two):  # ready once it has what was the other's
                await runtime.publish(40)
                await eventually(lambda: counted(30), deadline=60)
                await asyncio.wait_for(two.checkpoint.settle(), 60)
                before = [await runtime.log(each) for each in (two.checkpoint.changelog, words)]
                one.go_on()
                assert await asyncio.wait_for(one.ended(), 60) == "Fenced"
                assert [await runtime.log(each) for each in (two.checkpoint.changelog, words)] == before
                await runtime.publish(40)
                await eventually(lambda: counted(40), deadline=60)
                kept = {int(two.checkpoint.store(number).get(b"count") or 0) for number in range(PARTITIONS)}
                assert kept == {40}

    hold(scenario)


async def test_what_waits_for_an_agent_stays_when_the_agents_are_resumed(tmp_path: Path) -> None:
    """Faust resumes them after its seek, so that what was fetched in between would be lost."""
    app = make_app("name", {"bootstrap_servers": "127.0.0.1:1"}, tmp_path, PARTITIONS, 1)
    queue = app.FlowControlQueue(maxsize=8, clear_on_resume=True)  # as the agents' are made
    app.flow_control.suspend()
    queue.put_nowait("came after the seek")
    app.flow_control.resume()
    assert await asyncio.wait_for(queue.get(), 60) == "came after the seek"
