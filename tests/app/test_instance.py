from app.instance import Instance


def test_the_second_wakes_the_first_and_is_not_it(qtbot, tmp_path):
    first = Instance(tmp_path)
    assert first.first
    with qtbot.waitSignal(first.woken):
        assert not Instance(tmp_path).first
    other = Instance(tmp_path / "elsewhere")
    assert other.first
    other.close()
    first.close()


def test_after_the_first_has_ended_another_can_be_it(qapp, tmp_path):
    Instance(tmp_path).close()
    again = Instance(tmp_path)
    assert again.first
    again.close()
