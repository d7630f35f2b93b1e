from expectations.progress import EpochProgress


def test_an_epoch_is_a_line_for_people_with_its_exact_figures():
    epoch = EpochProgress(3, 0.51234, 0.123456)
    assert epoch == "epoch 3: loss 0.5123, validation 0.1235"
    assert (epoch.loss, epoch.metric) == (0.51234, 0.123456)


def test_without_a_validation_there_is_no_figure():
    epoch = EpochProgress(1, 2.0, None)
    assert f"{epoch}" == "epoch 1: loss 2.0000" and epoch.metric is None
