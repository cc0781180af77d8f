#!/usr/bin/env bash
# From nothing to a trained composed-image retriever: install, prepare emoji_edits, train, evaluate, export, search
# with the export, write the page of pictures. Safe to repeat; a run that was stopped goes on.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/setup_env.sh" ""

started=$SECONDS
run=runs/emoji_edits/quickstart
"$PYTHON" -m cir_tf.train --workdir="$run" "$@"
"$PYTHON" -m cir_tf.report --workdir="$run"

# The artwork as a folder of pictures, as anybody's own would be.
"$PYTHON" -m datasets_tfds.emoji_edits.folder "$run/people"
"$PYTHON" -m cir_tf.search --model="$run/export" --images="$run/people" \
  --query="$run/people/woman_astronaut.png" --text="with dark skin" --to="$run/search.png"

echo
echo "done in $((SECONDS - started)) seconds after the installation. Look at"
echo "  $PWD/$run/report.html   what the model finds, and where it fails"
echo "  $PWD/$run/search.png    one search in a folder of pictures"
echo "  $PWD/$run/export        the SavedModel"
