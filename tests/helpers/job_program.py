"""A small program in the place of the engine's command line."""

PROGRAM = """
import json, signal, sys, time
repo = sys.argv[1]
def say(**line): print(json.dumps(line), flush=True)
say(stage="fetching", done=0, total=100, rate=0.0, note="")
if repo.startswith("owner/fails"):
    say(stage="failed", error="There is no model.", page="https://hub/page"); sys.exit(1)
if repo.startswith("owner/dies"):
    sys.stderr.write("Traceback: a bug"); sys.exit(3)
if repo.startswith("owner/waits"):
    print("something else")
    say(stage="fetching", done=50, total=100, rate=10.0, note="")
    try: time.sleep(60)
    except KeyboardInterrupt: sys.exit(130)
say(stage="preparing", share=0.5, note="layer 1 of 2")
say(stage="done", folder="/models/" + repo)
"""
