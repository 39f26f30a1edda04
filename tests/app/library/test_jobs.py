"""The queue of jobs, around a small program in the place of the engine's command line."""

import sys

import pytest

from app.library.jobs import Jobs, JobState
from tests.helpers.job_program import PROGRAM


@pytest.fixture
def jobs():
    jobs = Jobs((sys.executable, "-S", "-c", PROGRAM))
    yield jobs
    jobs.shutdown()
    jobs.deleteLater()


def states(jobs):
    seen = []
    jobs.changed.connect(lambda job: seen.append((job.repo, job.state)))
    return seen


def wait(qtbot, jobs, repo, state):
    qtbot.waitUntil(lambda: jobs.job(repo).state is state, timeout=30_000)


def test_several_are_done_one_after_the_other(qtbot, jobs):
    seen = states(jobs)
    for name in ("owner/one", "owner/two"):
        jobs.start(name)
    assert jobs.job("owner/two").state is JobState.QUEUED
    wait(qtbot, jobs, "owner/two", JobState.DONE)
    assert jobs.job("owner/one").folder == "/models/owner/one"
    assert jobs.job("owner/one").share == 0.5
    assert seen.index(("owner/one", JobState.DONE)) < seen.index(("owner/two", JobState.FETCHING))


def test_a_job_can_be_paused_and_the_next_one_begins(qtbot, jobs):
    jobs.start("owner/waits")
    jobs.start("owner/one")
    job = jobs.job("owner/waits")
    qtbot.waitUntil(lambda: job.done == 50, timeout=30_000)
    assert job.seconds_left == 5.0
    jobs.pause("owner/waits")
    wait(qtbot, jobs, "owner/one", JobState.DONE)
    assert job.state is JobState.PAUSED
    assert job.error == ""
    jobs.start("owner/waits")
    qtbot.waitUntil(lambda: job.state is JobState.FETCHING, timeout=30_000)


def test_a_queued_job_can_be_paused(qtbot, jobs):
    jobs.start("owner/waits")
    jobs.start("owner/one")
    jobs.pause("owner/one")
    assert jobs.job("owner/one").state is JobState.PAUSED
    jobs.forget("owner/one")
    assert jobs.job("owner/one") is None


def test_a_failure_says_why_and_can_be_tried_again(qtbot, jobs):
    jobs.start("owner/fails")
    wait(qtbot, jobs, "owner/fails", JobState.FAILED)
    job = jobs.job("owner/fails")
    assert (job.error, job.page) == ("There is no model.", "https://hub/page")
    jobs.start("owner/fails")
    assert job.error == ""
    wait(qtbot, jobs, "owner/fails", JobState.FAILED)


def test_a_bug_in_the_process_is_told(qtbot, jobs):
    jobs.start("owner/dies")
    wait(qtbot, jobs, "owner/dies", JobState.FAILED)
    assert jobs.job("owner/dies").error == "Traceback: a bug"


def test_a_program_that_is_not_there(qtbot):
    jobs = Jobs(("/nowhere/flashbulb",))
    jobs.start("owner/one")
    wait(qtbot, jobs, "owner/one", JobState.FAILED)
    assert jobs.job("owner/one").error
    jobs.shutdown()
