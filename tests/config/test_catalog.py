from lexigraft.config.catalog import conf_folder, describe, groups, options


def test_the_folder_of_this_checkout_is_found():
    assert (conf_folder() / "train.yaml").is_file()


def test_groups_include_nested_ones_but_no_primary_config():
    found = groups(conf_folder())
    assert "model/pooling" in found
    assert {"data", "source", "tokenizer", "transplant", "model", "finetune", "optimizer", "scheduler"} <= set(found)
    assert "." not in found


def test_every_option_says_in_its_first_line_what_it_is():
    assert [o.path.name for o in options(conf_folder()) if len(o.description) < 5] == []


def test_options_of_one_group():
    names = [option.name for option in options(conf_folder(), "scheduler")]
    assert names == sorted(names)
    assert {"constant", "linear", "plateau"} <= set(names)


def test_description_passes_over_package_lines_and_ends_at_the_first_key(tmp_path):
    file = tmp_path / "x.yaml"
    file.write_text("# @package _global_\n# Meaning.\nkey: 1\n")
    assert describe(file) == "Meaning."
    file.write_text("key: 1\n# Too late.\n")
    assert describe(file) == ""
    file.write_text("")
    assert describe(file) == ""
