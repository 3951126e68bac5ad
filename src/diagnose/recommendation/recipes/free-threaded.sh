python{{ build }}t -m venv free && free/bin/pip install -r requirements.txt
free/bin/python -c 'import app, sys; print(sys._is_gil_enabled())'  # False, with all imports done
free/bin/python {{ script }}
