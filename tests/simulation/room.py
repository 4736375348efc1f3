"""The machine room: runs one schedule with the product's own workers, lets everything settle, and has it judged."""

import asyncio
import gc
import math
import random
import sys
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import structlog
from aiokafka.errors import KafkaError

from schemas.errors import Unavailable
from tests.simulation import judge
from tests.simulation.casts import CASTS, parts
from tests.simulation.disk import Disks, in_memory
from tests.simulation.faust import App
from tests.simulation.kafka import Client, Kafka
from tests.simulation.loop import Loop, Process, clocks_of, here
from tests.simulation.schedule import Fault, Schedule

_BOUND = 240.0  # virtual seconds in which everything must have got there once faults are over
_RESTART = 1.0  # seconds until a supervisor starts a process again
_MOST = 3  # workers


class Machine(Process):
    """A process, the disks below it, and how it is asked to stop."""

    def __init__(self, name: str, disks: Disks, kafka: Kafka) -> None:
        super().__init__(name)
        self.disks, self.kafka = disks, kafka
        self.stop = asyncio.Event()
        self.role: Any = None


@dataclass
class Slot:
    """A place for a worker; `wanted` says whether one ought to run there."""

    number: int
    disks: Disks = field(default_factory=Disks)
    machine: Machine | None = None
    wanted: bool = True
    starts: int = 0


@dataclass(frozen=True)
class Outcome:
    """What was `wrong`, '' for nothing; the trace; how long it took to settle, in virtual seconds."""

    wrong: str
    trace: list[str]
    settled: float = 0.0


class Room:
    def __init__(self, plan: Schedule, loop: Loop, trace: list[str]) -> None:
        self.plan, self.loop, self.trace, self.cast = plan, loop, trace, CASTS[plan.cast]
        self.began = 0.0
        self.rng = random.Random(f"room {plan.seed}")
        self.kafka = Kafka(loop, self.rng, plan.partitions, plan.loss, self.note)
        for topic in self.cast.topics:
            self.kafka.topic(topic)
        self.slots = [Slot(number) for number in range(plan.workers)]
        self.wrong: list[str] = []
        self.cut_short = False  # changelogs have lost their ends
        self.outside: Counter[bytes] = Counter()  # what Stripe still has to get rid of
        self.accepted: list[bytes] = []  # what was answered 200
        self.busy: set[asyncio.Task[None]] = set()
        self.asleep = math.inf  # since when all sleep, by their own account
        self.awake = math.inf if plan.live else 0.0  # since when every partition has a worker who knows of the flow

    def note(self, text: str) -> None:
        self.trace.append(f"{self.loop.now:8.3f} {text}")

    async def run(self) -> str:
        for slot in self.slots:
            self.start(slot)
        while not self.ready():  # noqa: ASYNC110 (time is free here)
            await asyncio.sleep(0.05)
        self.began = self.loop.now
        if self.plan.live:
            self.work_on(self.wake())
        for coming in sorted(
            [(at, 0, place) for at, place in self.plan.told] + [(f.at, 1, f) for f in self.plan.faults],
            key=lambda each: each[:2],
        ):
            await self.until(coming[0])
            if isinstance(coming[2], Fault):
                self.work_on(self.suffer(coming[2]))
            else:
                self.cast.tell(self, self.cast.told(self.plan.history)[coming[2]])
        while self.busy:
            await asyncio.wait(set(self.busy))
        self.kafka.loss = 0.0
        self.note("faults are over")
        began, still = self.loop.now, 0
        while not self.wrong:
            still = still + 1 if self.settled() else 0
            if still == 8:  # two seconds: whatever comes later is too late
                break
            if self.loop.now > began + _BOUND:
                groups = [(group._seen, group._joining, group.owners) for group in self.kafka.groups.values()]
                return f"not settled {_BOUND:.0f} s after the last fault: {self.behind()} {groups}"
            await asyncio.sleep(0.25)
        self.note("settled")
        return "; ".join(self.wrong or [*self.cast.verdict(self), *judge.state(self)])

    def work_on(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self.busy.add(task)
        task.add_done_callback(self.busy.discard)

    async def wake(self) -> None:
        """No flow is live, then one is."""
        self.kafka.live = False
        while self.loop.now < self.began + self.plan.live:
            await asyncio.sleep(0.25)
            if self.asleep == math.inf and self.cast.asleep(self):
                self.asleep = self.loop.now - self.began
                self.note("flows are asleep")
        self.kafka.live = True
        self.note("the flow goes live")
        still = 0
        while still < 12:  # three seconds: whoever was about to lie down has by then
            await asyncio.sleep(0.25)
            still = still + 1 if self.ready() and self.cast.awake(self) else 0
        self.awake = self.loop.now - self.began
        self.note("flows are awake")

    async def until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, self.began + at - self.loop.now))

    # --- workers

    def start(self, slot: Slot) -> None:
        slot.starts += 1
        slot.machine = Machine(f"worker {slot.number}.{slot.starts}", slot.disks, self.kafka)
        slot.wanted = True
        self.note(f"{slot.machine.name} starts")
        self.loop.spawn(slot.machine, self.work(slot, slot.machine))

    async def work(self, slot: Slot, machine: Machine) -> None:
        """The process, and what its supervisor does about its end."""
        try:
            machine.role = self.cast.role(self.plan.partitions)
            await machine.role.run(machine.stop)
            self.note(f"{machine.name} has stopped")
        except (Unavailable, KafkaError) as error:
            self.note(f"{machine.name} has ended: {error!r}")
        except Exception as error:
            self.wrong.append(f"{machine.name} failed: {error!r}")
            raise
        machine.kill()
        if slot.wanted and slot.machine is machine:
            self.loop.spawn(None, self.again(slot, machine))

    async def again(self, slot: Slot, machine: Machine) -> None:
        await asyncio.sleep(_RESTART)
        if slot.machine is machine and slot.wanted:
            self.start(slot)

    # --- faults

    async def suffer(self, fault: Fault) -> None:
        there = [slot for slot in self.slots if slot.wanted and slot.machine is not None and slot.machine.alive]
        if not there:
            return
        slot = there[int(fault.who * len(there))]
        machine, size = slot.machine, fault.size
        assert machine is not None
        self.note(f"{fault.kind} {machine.name}")
        match fault.kind:
            case "crash" | "restore" | "replace":
                await self.kill(slot, int(size * 400))
                if slot.machine is not machine:
                    return
                if fault.kind == "restore":
                    for disk in slot.disks.values():
                        disk.put_back(int(size * 12) + 1)
                elif fault.kind == "replace":
                    slot.disks = Disks()
                await asyncio.sleep(fault.who * 2)
                if slot.machine is machine:
                    self.start(slot)
            case "stop":
                machine.stop.set()
            case "leave":
                if len(there) > 1:
                    slot.wanted = False
                    machine.stop.set()
            case "join":
                idle = [each for each in self.slots if each.machine is not None and not each.machine.alive]
                if self.cut_short:
                    return  # a disk that is not asked for now would go on holding what the changelog has lost
                if not idle and len(self.slots) < _MOST:
                    self.slots.append(Slot(len(self.slots)))
                    idle = self.slots[-1:]
                if idle:
                    self.start(idle[0])
            case "pause":
                done = asyncio.Event()
                machine.after(int(size * 400), done.set)
                await self.wait(done)
                machine.pause()
                await asyncio.sleep(30 * fault.who**2)
                self.note(f"{machine.name} goes on")
                machine.resume(self.loop)
            case "cut":
                machine.cut = True
                await asyncio.sleep(30 * size**2)
                machine.cut = False
            case "jump":
                machine.skew += (fault.who - 0.5) * 7200
            case "blackout":
                for each in there:
                    await self.kill(each, 0)
                there = [each for each in self.slots if each.machine is not None and not each.machine.alive]
                alone = len(self.slots) == 1  # else brokers are several, and lose nothing that all have acknowledged
                self.cut_short = self.cut_short or alone
                for name in [name for name in self.kafka.topics if alone and name.endswith("-changelog")]:
                    log = self.kafka.topics[name][int(size * self.plan.partitions)]
                    self.note(f"{name} {log.lane[1]} has lost {log.truncate(int(fault.who * 6))} records")
                for each in there:
                    self.start(each)
            case "retention":
                for group in self.kafka.groups.values():
                    for lane, committed in group.committed.items():
                        self.kafka.log(lane).start = committed

    async def kill(self, slot: Slot, steps: int) -> None:
        machine, done = slot.machine, asyncio.Event()
        assert machine is not None
        machine.after(steps, done.set)
        await self.wait(done)
        if slot.machine is not machine or not machine.alive:
            return
        self.note(f"{machine.name} is killed")
        slot.wanted = False
        machine.kill()

    async def wait(self, done: asyncio.Event) -> None:
        """For the step to come; at rest there may be none for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await done.wait()

    # --- the end

    def behind(self) -> dict[tuple[str, int], int]:
        """How much of the input is not committed."""
        committed = self.kafka.group(self.cast.group).committed
        lanes = [(topic, number) for topic in self.cast.topics for number in range(self.plan.partitions)]
        return {lane: left for lane in lanes if (left := self.kafka.log(lane).end - committed.get(lane, 0))}

    def settled(self) -> bool:
        return not self.behind() and self.ready() and not self.cast.waits(self)

    def ready(self) -> bool:
        """Whether all that run are members, and say that they work."""
        running = {slot.machine for slot in self.slots if slot.machine is not None and slot.machine.alive}
        names = {machine.name for machine in running}
        return not any(machine.role is None or machine.role.ready() for machine in running) and self.kafka.group(
            self.cast.group
        ).stable(names)


def simulate(plan: Schedule) -> Outcome:
    """Run it. Whatever is raised inside is what was wrong."""
    trace: list[str] = []
    loop = Loop()
    random.seed(plan.seed)  # of what takes no generator: the waits between tries
    with product(loop, trace):
        room = Room(plan, loop, trace)
        try:
            wrong = loop.run(room.run(), until=600.0)
        except TimeoutError:
            wrong = "nothing happens any more"
        if loop.failures and not wrong:
            wrong = f"nobody saw {loop.failures[0]}"
    return Outcome(wrong, trace, loop.now)


@contextmanager
def product(loop: Loop, trace: list[str]) -> Iterator[None]:
    """The product's modules with the room's parts in the place of what reaches out of the process."""

    def logged(_: Any, method: str, event: dict[str, Any]) -> Any:
        machine = here()
        words = " ".join(f"{name}={value}" for name, value in event.items() if name != "event")
        trace.append(f"{loop.now:8.3f} {machine.name if machine else 'room'}: {event['event']} {words}")
        raise structlog.DropEvent

    async def ready(*_: Any) -> None: ...

    def app(name: str, *_: Any) -> App:
        machine: Any = here()
        return App(machine.kafka, machine.disks, name, machine.name)

    config = structlog.get_config()
    was_on = gc.isenabled()
    gc.disable()
    with ExitStack() as stack:
        for place, made in {
            "streams.worker.make_app": app,
            "streams.worker.ensure_changelogs": ready,
            "streams.worker.gc.set_threshold": lambda *_: None,
            "streams.producer._LARGE": 3000,  # so that many are large, and calls take several batches
            "streams.producer._BATCH": 8 * 1024,
            "streams.producer._PACK": 2 * 1024,
            "streams.producer.AIOKafkaClient": lambda **_: Client(here().kafka),
        }.items():
            stack.enter_context(patch(place, made))
        for part in parts():
            stack.enter_context(part)
        stack.enter_context(in_memory())
        stack.enter_context(clocks_of(loop))
        stack.enter_context(patch.object(sys, "unraisablehook", lambda _: None))
        structlog.configure(processors=[logged])
        try:
            yield
        finally:
            structlog.configure(**config)
            if was_on:
                gc.enable()
