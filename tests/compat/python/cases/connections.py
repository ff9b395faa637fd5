"""Lines that are cut, brokers that are away."""

from lab.servers import Wire, free_port
from lab.suite import OWN, case


@case(on=OWN)
def a_cut_connection_is_made_again(lab):
    with Wire(lab.cell.broker_url) as wire, lab.worker(broker=wire.url):
        assert lab.call("add", 2, 3) == 5
        for i in range(3):
            wire.cut()
            wire.mend()
            assert lab.get(lab.send("add", i, i), timeout=60) == 2 * i


@case(on=OWN)
def what_was_sent_while_the_line_was_cut_is_run(lab):
    with Wire(lab.cell.broker_url) as wire, lab.worker(broker=wire.url):
        assert lab.call("add", 2, 3) == 5
        wire.cut()
        sent = [lab.send("add", i, i) for i in range(5)]
        wire.mend()
        assert [lab.get(result, timeout=60) for result in sent] == [0, 2, 4, 6, 8]


@case(on=OWN)
def a_task_that_ran_while_the_line_was_cut_has_its_result(lab):
    with Wire(lab.cell.broker_url) as wire, lab.worker(broker=wire.url):
        sent = lab.send("late", 1.5, lab.key)
        lab.notes(lab.key)
        wire.cut()
        wire.mend()
        assert lab.get(sent, timeout=60) == 1.5


@case(on=OWN)
def the_next_address_is_tried_when_the_first_is_dead(lab):
    kind = lab.cell.broker_url.partition("://")[0]
    dead = f"{kind}://127.0.0.1:{free_port()}/"
    with lab.worker(broker=f"{dead};{lab.cell.broker_url}"):
        assert lab.call("add", 2, 3) == 5


@case(on=OWN)
def a_cut_line_to_the_results_is_made_again(lab):
    with Wire(lab.cell.results_url) as wire, lab.worker(results=wire.url):
        assert lab.call("add", 2, 3) == 5
        wire.cut()
        wire.mend()
        assert lab.get(lab.send("add", 3, 3), timeout=60) == 6


@case(on=OWN, differs=(
    "Celery keeps trying a broker that is not there at the start; Umbel ends with exit code 69 and"
    " says why, so that whoever supervises it sees it."))
def a_broker_that_is_not_there_at_the_start_is_said_to_be_missing(lab):
    with Wire(lab.cell.broker_url) as wire:
        wire.cut()
        worker = lab.worker(broker=wire.url)
        worker.spawn()
        try:
            if lab.umbel:
                assert worker.await_end() == 69
                assert "cannot reach" in worker.log.text()
                wire.mend()
                worker.spawn()
            else:
                worker.await_log("onnect")
                wire.mend()
            worker.await_ready()
            assert lab.call("add", 2, 3) == 5
        finally:
            worker.kill()
