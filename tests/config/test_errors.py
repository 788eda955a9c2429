from lexigraft.config.errors import by_likeness, did_you_mean, nearest_key

EVERYWHERE = ["seed", "trainer", "trainer.epochs", "trainer.batch_size", "optimizer.lr", "data.name", "source.name"]


def test_a_sibling_of_a_like_name_is_meant_first():
    assert nearest_key("trainer.epoch", ["epochs", "batch_size"], EVERYWHERE) == ["trainer.epochs"]
    assert nearest_key("seeed", ["seed", "trainer"], EVERYWHERE) == ["seed"]


def test_a_key_of_the_same_name_elsewhere_is_meant_next():
    assert nearest_key("lr", ["seed", "trainer"], EVERYWHERE) == ["optimizer.lr"]
    assert nearest_key("name", ["seed", "trainer"], EVERYWHERE) == ["data.name", "source.name"]


def test_a_like_name_elsewhere_is_meant_last():
    assert nearest_key("batchsize", ["seed", "trainer"], EVERYWHERE) == ["trainer.batch_size"]


def test_nothing_is_suggested_for_what_is_like_nothing():
    assert nearest_key("zzz", ["seed", "trainer"], EVERYWHERE) == []
    assert did_you_mean() == ""


def test_several_names_are_joined():
    assert did_you_mean("a", "b") == "; did you mean 'a' or 'b'?"


def test_options_are_listed_by_likeness():
    assert by_likeness("textcn", ["bilstm", "textcnn", "mean_pool"])[0] == "textcnn"
