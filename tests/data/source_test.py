from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from cir_tf.data import source
from cir_tf.errors import UserError


def test_rows_and_pictures_are_those_of_tfds(data_dir):
    index = source.open_builder("css", "css3d_tiny_index", data_dir)
    rows = source.read_rows(index, "test")
    expected = list(tfds.as_numpy(index.as_dataset(split="test")))
    assert len(rows["query_id"]) == len(expected) == 240
    for key in ("query_id", "reference_id", "text", "target_id", "target_class", "category"):
        assert rows[key] == [row[key].decode() for row in expected]
    assert rows["captions"] == [[text.decode() for text in row["captions"]] for row in expected]
    assert rows["target_ids"] == [[]] * 240
    assert all(rows["has_target"])

    builder = source.open_builder("css", "css3d_tiny_gallery", data_dir)
    gallery = source.read_gallery(builder, "validation")
    assert len(gallery.ids) == len(gallery.encoded_N) == len(gallery.target_class) == 160
    for number, row in enumerate(tfds.as_numpy(builder.as_dataset(split="validation").take(3))):
        assert gallery.ids[number] == row["image_id"].decode()
        assert gallery.target_class[number] == row["target_class"].decode()
        assert (tf.io.decode_image(gallery.encoded_N[number]).numpy() == row["image"]).all()


def test_pictures_are_found_in_any_of_several_files(tmp_path):
    pictures = [bytes([number] * (5 + 3 * number)) for number in range(7)]
    files = [tmp_path / "part 0", tmp_path / "part 1"]
    for file, numbers in zip(files, (range(3), range(3, 7)), strict=True):
        with tf.io.TFRecordWriter(str(file)) as writer:
            for number in numbers:
                texts = {"image_id": b"id%d" % number, "image": pictures[number], "target_class": b"odd" * (number % 2)}
                lists = {key: tf.train.Feature(bytes_list={"value": [text]}) for key, text in texts.items()}
                writer.write(tf.train.Example(features={"feature": lists}).SerializeToString())
    split = SimpleNamespace(filepaths=files, num_examples=7)
    gallery = source.read_gallery(SimpleNamespace(info=SimpleNamespace(splits={"train": split})), "train")
    assert gallery.ids == [f"id{number}" for number in range(7)]
    assert gallery.target_class == ["", "odd", "", "odd", "", "odd", ""]
    assert list(gallery.encoded_N) == pictures
    assert gallery.encoded_N.take(np.array([6, 0, 3])).tolist() == [pictures[6], pictures[0], pictures[3]]


def test_a_split_or_a_dataset_that_is_not_there(data_dir, tmp_path):
    index = source.open_builder("css", "css3d_tiny_index", data_dir)
    with pytest.raises(UserError, match="has no split 'dev'; it has train, test, validation"):
        source.read_rows(index, "dev")
    with pytest.raises(UserError, match=r"css/css3d_tiny_index is not prepared in"):
        source.open_builder("css", "css3d_tiny_index", str(tmp_path), prepare=False)


def test_a_generated_dataset_is_prepared_on_first_use(tmp_path, capfd):
    builder = source.open_builder("css", "css3d_tiny_index", str(tmp_path))
    assert len(source.read_rows(builder, "test")["text"]) == 240
    assert "css/css3d_tiny_index is ready" in capfd.readouterr().out


def test_the_data_folder_is_that_of_tfds(monkeypatch, tmp_path):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    assert source.default_data_dir() == str(tmp_path)
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert source.default_data_dir().endswith("tensorflow_datasets")
    assert "~" not in source.default_data_dir()
