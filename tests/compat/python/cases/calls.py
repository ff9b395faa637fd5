"""How tasks are called, and what they learn about their calls."""

import datetime
import json
import uuid

from celery import group

from lab.cells import REDIS
from lab.suite import EXTENDED, case


@case
def a_call_gives_its_result(lab):
    assert lab.call("add", 2, 3) == 5


@case
def keyword_arguments_go_by_name(lab):
    assert lab.call("greet", name="you", greeting="Good morning") == "Good morning, you!"


@case
def positional_and_keyword_arguments_mix(lab):
    assert lab.call("greet", "you", greeting="Hi") == "Hi, you!"


@case
def omitted_arguments_take_their_defaults(lab):
    assert lab.call("greet", "you") == "Hello, you!"


@case
def any_number_of_arguments_can_be_collected(lab):
    assert lab.call("collect", 1, [2], three=3) == [[1, [2]], {"three": 3}]
    assert lab.call("collect") == [[], {}]


@case
def a_signature_can_be_called_with_more_arguments(lab):
    assert lab.get(lab.sig("add", 3).delay(2)) == 5


@case
def a_task_id_of_the_callers_choice_is_kept(lab):
    sent = lab.send("context", task_id=f"chosen-{lab.key}")
    assert lab.get(sent)["id"] == f"chosen-{lab.key}"


@case
def a_task_knows_that_it_is_its_own_root(lab):
    sent = lab.send("context")
    seen = lab.get(sent)
    assert seen["id"] == seen["root_id"] == seen["correlation_id"] == sent.id
    assert seen["parent_id"] is None


@case
def a_task_knows_its_name_and_arguments(lab):
    seen = lab.call("context", 1, "two", three=[3])
    assert seen["task"] == "lab.context"
    assert list(seen["args"]) == [1, "two"]
    assert seen["kwargs"] == {"three": [3]}
    assert seen["retries"] == 0


@case
def custom_headers_reach_the_task(lab):
    sent = lab.send("context", headers={"tenant": "blue", "number": 7})
    seen = lab.get(sent)["headers"]
    assert (seen["tenant"], seen["number"]) == ("blue", 7)


@case
def stamps_reach_the_task(lab):
    signature = lab.sig("context")
    signature.stamp(batch=f"batch-{lab.key}")
    assert lab.get(signature.apply_async())["stamps"] == {"batch": f"batch-{lab.key}"}


@case
def stamps_go_with_every_step_of_a_chain(lab):
    chain = lab.sig("add", 1, 1) | lab.sig("context")
    chain.stamp(batch=lab.key)
    assert "batch" in lab.get(chain.apply_async())["stamps"]


@case
def a_task_knows_the_queue_it_came_through(lab):
    info = lab.call("context")["delivery_info"]
    assert info["routing_key"] == lab.queue
    assert not info["redelivered"]


@case
def a_task_knows_its_priority(lab):
    sent = lab.send("context", priority=3)
    assert lab.get(sent)["delivery_info"]["priority"] == 3


@case
def a_task_knows_its_time_limits(lab):
    sent = lab.send("context", time_limit=40, soft_time_limit=20)
    assert lab.get(sent)["timelimit"] == [40, 20]


@case
def a_task_knows_its_eta_and_its_expiry(lab):
    eta = datetime.datetime.now(datetime.timezone.utc)
    expires = eta + datetime.timedelta(seconds=60)
    seen = lab.get(lab.send("context", eta=eta, expires=expires))
    # For a broker that delays, Celery's client writes the eta anew.
    later = datetime.datetime.fromisoformat(seen["eta"]) - eta
    assert datetime.timedelta(0) <= later < datetime.timedelta(seconds=1)
    assert datetime.datetime.fromisoformat(seen["expires"]) == expires


@case
def a_task_knows_where_its_caller_listens(lab):
    assert lab.call("context")["reply_to"] == lab.app.thread_oid


@case
def a_member_of_a_group_knows_its_group_and_place(lab):
    sent = group(lab.sig("context") for _ in range(3)).apply_async()
    seen = lab.get(sent)
    assert [member["group_index"] for member in seen] == [0, 1, 2]
    assert {member["group"] for member in seen} == {sent.id}


@case
def a_shadow_name_changes_nothing_for_the_caller(lab):
    sent = lab.send("add", 2, 3, shadow="lab.something_else")
    assert lab.get(sent) == 5


@case
def a_hundred_calls_at_once_all_give_their_results(lab):
    sent = [lab.send("add", i, 1000) for i in range(100)]
    assert [lab.get(result) for result in sent] == list(range(1000, 1100))


@case
def the_smallest_message_is_enough(lab):
    assert lab.get(lab.publish("add", [2, 3])) == 5


@case
def an_empty_embed_is_enough(lab):
    assert lab.get(lab.publish("add", [2, 3], embed={})) == 5


@case
def headers_that_nobody_knows_do_no_harm(lab):
    headers = {"x-unheard-of": {"nested": [None, True]}, "lang": "cobol", "shadow": None}
    assert lab.get(lab.publish("add", [2, 3], headers=headers)) == 5


@case(on=EXTENDED)
def a_queue_of_another_name_is_served(lab):
    seen = lab.get(lab.send("context"))
    assert seen["delivery_info"]["routing_key"] == lab.queue == "extended"


def protocol_1(lab, **fields):
    """Publishes a message of protocol 1; gives its result."""
    task_id = str(uuid.uuid4())
    body = {"task": "lab.add", "id": task_id, "args": [2, 3], "kwargs": {}, "retries": 0, **fields}
    lab.broker.publish(json.dumps(body), {}, queue=lab.queue, correlation_id=task_id)
    return lab.result(task_id)


@case
def a_protocol_1_message_is_run(lab):
    assert lab.get(protocol_1(lab)) == 5


@case
def a_protocol_1_message_may_leave_out_its_arguments(lab):
    sent = protocol_1(lab, task="lab.collect", args=[], kwargs={"a": 1})
    assert lab.get(sent) == [[], {"a": 1}]


@case
def a_protocol_1_message_may_have_an_eta_and_callbacks(lab):
    eta = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=1)
    link = dict(lab.sig("note", key=lab.key))
    lab.get(protocol_1(lab, eta=eta.isoformat(), callbacks=[link]))
    assert lab.notes(lab.key) == [5]
    assert datetime.datetime.now(datetime.timezone.utc) >= eta


@case(brokers=REDIS)
def a_message_without_body_encoding_is_taken_as_text(lab):
    task_id = str(uuid.uuid4())
    envelope = {
        "body": json.dumps([[2, 3], {}, None]), "content-type": "application/json",
        "content-encoding": "utf-8", "headers": {"task": "lab.add", "id": task_id},
        "properties": {
            "correlation_id": task_id, "delivery_tag": str(uuid.uuid4()),
            "delivery_info": {"exchange": "", "routing_key": lab.queue}, "priority": 0}}
    with lab.broker.connection() as connection:
        connection.default_channel.client.lpush(lab.queue, json.dumps(envelope))
    assert lab.get(lab.result(task_id)) == 5
