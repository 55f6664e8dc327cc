# SPDX-License-Identifier: Apache-2.0
"""The page beside the real episode recorder: record, mark, look, keep, retask, delete."""

import json

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("rosbags")

from page_client import browsed
from vla_msgs.srv import KeepLast

from verification.recorder_graph import POLICY, recorded_graph
from vla_operator import episodes, recording
from vla_operator.node import OperatorPage
from vla_recording.episodes.words import read_words


@pytest.fixture
def graph(tmp_path, monkeypatch):
    # Of the host's time, which is nothing to what is tested here.
    monkeypatch.setattr(recording, "_SILENT_S", 300.0)
    monkeypatch.setattr(recording, "_ANSWER_S", 300.0)
    monkeypatch.setattr(episodes, "_SILENT_S", 300.0)
    with recorded_graph(tmp_path) as graph:
        graph.page = OperatorPage()
        graph.executor.add_node(graph.page)
        port = int(graph.page.url.rpartition(":")[2])
        graph.browse = lambda what: browsed(port, what, graph.step_until)
        try:
            yield graph
        finally:
            graph.page.destroy_node()


async def controlled(browser):
    """Return a page that is in control and hears the recorder."""
    page = await browser.open()
    assert (await page.ask("take", name="Ada", over=False))["ok"]
    await page.until("state", lambda each: each["recorder"] and not each["recorder"]["missing"])
    return page


async def recorded(page, rows=5, mark="success"):
    """Record an episode of some rows, and return what the list says of it."""
    answer = await page.ask("record", task="", operator="Ada")
    assert answer["ok"], answer
    name = answer["text"].removeprefix("recording ")
    await page.until("state", lambda each: each["recorder"]["rows"] >= rows)
    answer = await page.ask("finish", mark=mark, discard=False)
    assert answer["ok"], answer
    return await listed(page, lambda each: each["name"] == name and each["index"] >= 0)


async def listed(page, right):
    """Wait until the newest episode is as it should be, and return it."""
    newest = lambda each: each["episodes"] and right(each["episodes"][0])  # noqa: E731
    known = page.shown.get("episodes")
    if known and newest(known):
        return known["episodes"][0]
    return (await page.until("episodes", newest))["episodes"][0]


def test_an_episode_is_recorded_marked_watched_given_another_task_and_deleted(graph):
    async def operate(browser):
        page = await controlled(browser)
        episode = await recorded(page)
        name = episode["name"]
        assert (episode["task"], episode["operator"], episode["mark"]) == (
            "wave",
            "Ada",
            "success",
        )
        assert (episode["policy"], episode["ended"]) == (POLICY, True)
        assert episode["message"] == "finished as success"
        assert episode["rows"] >= 5

        status, video = await browser.send("GET", f"/episodes/{name}/video.mp4")
        assert status == 200
        assert video[4:8] == b"ftyp"
        assert len(video) == episode["video_bytes"]
        assert video == (graph.root / "bags" / name / "video.mp4").read_bytes()

        assert (await page.ask("mark", episode=name, mark="failure"))["ok"]
        await listed(page, lambda each: each["mark"] == "failure")
        assert (await page.ask("retask", episode=name, task="wave twice"))["ok"]
        await listed(page, lambda each: each["task"] == "wave twice")
        words = read_words(graph.root / "bags" / name)
        assert (words.mark, words.task) == ("FAILURE", "wave twice")

        assert (await page.ask("delete", episode=name))["ok"]
        await page.until("episodes", lambda each: each["total"] == 0)
        assert (graph.root / "deleted" / name / "video.mp4").exists()

    graph.browse(operate)


def test_an_episode_that_began_after_the_page_showed_the_newest_is_not_deleted_in_its_place(
    graph,
):
    async def record_one(browser):
        return (await recorded(await controlled(browser)))["name"]

    async def delete(browser, name):
        return await (await controlled(browser)).ask("delete", episode=name)

    shown = graph.browse(record_one)
    graph.until(lambda: not graph.recorder._conversions.count, "the end of the conversion")
    kept = graph.call(graph.robot.keep_last, KeepLast.Request(convert_later=True)).episode
    graph.until(lambda: not graph.recorder._recorder.unfinished, "its bag")
    refused = graph.browse(lambda browser: delete(browser, shown))
    assert (refused["ok"], refused["text"]) == (
        False,
        f"only the newest episode is deleted, which is {kept}",
    )
    assert sorted(path.name for path in (graph.root / "bags").iterdir()) == sorted([shown, kept])
    for name in (kept, shown):
        answer = graph.browse(lambda browser, name=name: delete(browser, name))
        assert answer["ok"], answer


def test_looking_is_for_every_page_and_changing_for_the_one_in_control(graph):
    async def operate(browser):
        page = await controlled(browser)
        episode = await recorded(page)
        viewer = await browser.open()
        found = await viewer.until("episodes")
        assert [each["name"] for each in found["episodes"]] == [episode["name"]]
        status, _ = await browser.send("GET", f"/episodes/{episode['name']}/video.mp4")
        assert status == 200
        for do, words in {
            "record": {"task": "x", "operator": "Eve"},
            "finish": {"mark": "success", "discard": True},
            "keep": {"task": "", "operator": "Eve", "seconds": 5},
            "mark": {"episode": episode["name"], "mark": "failure"},
            "retask": {"episode": episode["name"], "task": "x"},
            "delete": {"episode": episode["name"]},
        }.items():
            answer = await viewer.ask(do, **words)
            assert "not in control" in answer["text"], do
        assert read_words(graph.root / "bags" / episode["name"]).mark == "SUCCESS"

    graph.browse(operate)


def test_why_an_episode_never_began_is_told_also_behind_one_that_did(graph):
    """What was refused is no episode: the recorder's status goes on to tell of the one before."""

    async def operate(browser):
        page = await controlled(browser)
        await recorded(page)
        graph.robot.camera = False
        await page.until("state", lambda each: each["recorder"]["missing"])
        answer = await page.ask("record", task="x", operator="Ada")
        assert not answer["ok"]
        assert answer["text"].startswith("row 0: observation.images.front (front): ")
        state = await page.until("state", lambda each: "row 0" in each["recorder"]["last_end"])
        assert state["recorder"]["last_end"] == answer["text"]

    graph.browse(operate)


def test_the_last_seconds_are_kept_with_the_task_that_the_policy_had(graph):
    async def operate(browser):
        page = await controlled(browser)
        await page.until("state", lambda each: each["recorder"]["remembered_s"] > 1.0)
        answer = await page.ask("keep", task="", operator="Ada", seconds=1)
        assert answer["ok"], answer
        name = answer["text"].removeprefix("kept as ")
        episode = await listed(page, lambda each: each["name"] == name and each["index"] >= 0)
        assert (episode["task"], episode["mark"]) == ("wave", "unmarked")
        assert 20 <= episode["rows"] <= 31, "one second at 30 rows a second"
        assert (await page.ask("record", task="", operator="Ada"))["ok"]
        answer = await page.ask("keep", task="", operator="Ada", seconds=1)
        assert answer["text"] == "an episode is being recorded; what is remembered is in it"

    graph.browse(operate)


def test_a_recorder_that_falls_silent_in_an_episode_is_told_with_what_becomes_of_it(
    graph, monkeypatch
):
    """Its card stays: nobody goes on in the belief that all is recorded."""

    async def begin(browser):
        page = await controlled(browser)
        answer = await page.ask("record", task="", operator="Ada")
        assert answer["ok"], answer
        return answer["text"].removeprefix("recording ")

    async def look(browser):
        page = await browser.open()
        state = await page.until("state", lambda each: each["recorder"]["gone"])
        return state["recorder"]

    name = graph.browse(begin)
    monkeypatch.setattr(recording, "_SILENT_S", 1.0)
    graph.executor.remove_node(graph.recorder)
    told = browsed(int(graph.page.url.rpartition(":")[2]), look, graph.until)
    assert told["recording"], "that is the last that was heard of it"
    assert "nothing is recorded. What it had written of" in told["gone"]
    assert f"{name} is kept; `vla-record convert {graph.root}` makes rows of it" in told["gone"]
    graph.executor.add_node(graph.recorder)


def test_a_video_that_is_too_large_changed_or_gone_is_said_and_not_shown(graph, monkeypatch):
    async def operate(browser):
        page = await controlled(browser)
        name = (await recorded(page))["name"]
        path, file = f"/episodes/{name}/video.mp4", graph.root / "bags" / name / "video.mp4"
        good = file.read_bytes()
        assert (await browser.send("GET", path))[0] == 200
        # What is kept of it is not shown for a file that is another one by now.
        file.write_bytes(good + bytes(10))
        await listed(page, lambda each: each["video_bytes"] == len(good) + 10)
        assert (await browser.send("GET", path))[1] == good + bytes(10)
        monkeypatch.setattr(episodes, "MOST_VIDEO_BYTES", 100)
        file.write_bytes(good)
        await listed(page, lambda each: each["video_bytes"] == len(good))
        status, body = await browser.send("GET", path)
        assert (status, body["text"]) == (404, f"a video of {len(good)} bytes is not shown")
        file.unlink()
        await listed(page, lambda each: each["video_bytes"] == 0)
        status, body = await browser.send("GET", path)
        assert (status, body["text"]) == (404, f"{name}: has no video; it is made with its rows")
        status, body = await browser.send("GET", "/episodes/nobody/video.mp4")
        assert status == 404
        assert "has no episode 'nobody'" in body["text"]

    graph.browse(operate)


def test_an_episode_that_is_damaged_by_hand_is_shown_as_that_among_the_others(graph):
    async def operate(browser):
        page = await controlled(browser)
        first, second = await recorded(page), await recorded(page)
        (graph.root / "bags" / first["name"] / "episode.json").write_text(
            json.dumps({"version": 9})
        )
        # The recorder may look while it is written: then it is damaged in another way at first.
        told = "version: 1 is read here"
        found = await page.until("episodes", lambda each: told in each["episodes"][1]["problem"])
        assert found["episodes"][0] == second

    graph.browse(operate)
