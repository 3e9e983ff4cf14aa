"""What every client does with every server, as data: steps that a driver carries out in order.

A step is a list of a verb and its arguments. What it brings goes under its own text into the outcome. The verbs:

    tool NAME ARGS          calls a tool
    read URI                reads a resource
    prompt NAME ARGS        gets a prompt
    fails VERB ...          does what has to fail; why is not compared, as a guard may have said it
    progress NAME ARGS      calls a tool and gathers its progress
    log NAME ARGS           calls a tool and waits for a log message
    watch URI NAME ARGS     subscribes to a resource, calls a tool and waits for the update
    cancel NAME ARGS        calls a tool and gives up while it runs

`${dir}` stands for the directory that belongs to this run alone.
"""

EVERYTHING = [
    ["tool", "echo", {"message": "héllo wörld \u2713"}],
    ["tool", "get-sum", {"a": 2, "b": 3.5}],
    ["tool", "get-structured-content", {"location": "Chicago"}],
    ["tool", "get-tiny-image", {}],
    ["tool", "get-annotated-message", {"messageType": "error", "includeImage": True}],
    ["tool", "get-resource-links", {"count": 3}],
    ["fails", "tool", "no-such-tool", {}],
    ["prompt", "simple-prompt", {}],
    ["prompt", "args-prompt", {"city": "Paris", "state": "Texas"}],
    ["fails", "prompt", "no-such-prompt", {}],
    ["read", "demo://resource/static/document/architecture.md"],
    ["read", "demo://resource/nowhere"],
    ["progress", "trigger-long-running-operation", {"duration": 0.4, "steps": 4}],
    ["cancel", "trigger-long-running-operation", {"duration": 20, "steps": 40}],
    ["tool", "trigger-sampling-request", {"prompt": "say something", "maxTokens": 10}],
    ["tool", "trigger-elicitation-request", {}],
    ["tool", "get-roots-list", {}],
    ["watch", "demo://resource/dynamic/text/1", "toggle-subscriber-updates", {}],
    ["log", "toggle-simulated-logging", {}],
    ["tool", "echo", {"message": "still here"}],
]

FIXTURE = [
    ["tool", "test_simple_text", {}],
    ["tool", "echo", {"text": "one \" two \\ three"}],
    ["tool", "test_image_content", {}],
    ["tool", "test_multiple_content_types", {}],
    ["tool", "test_error_handling", {}],
    ["fails", "tool", "no_such_tool", {}],
    ["prompt", "test_simple_prompt", {}],
    ["read", "test://static-text"],
    ["read", "test://static-binary"],
    ["read", "test://template/7/data"],
    ["progress", "test_tool_with_progress", {}],
    ["log", "test_tool_with_logging", {}],
    ["tool", "test_sampling", {"prompt": "say something"}],
    ["tool", "test_elicitation", {"message": "who are you?"}],
    ["tool", "test_list_roots", {}],
    ["tool", "test_input_required_result_multi_round", {}],
    ["watch", "test://watched-resource", "test_trigger_resource_change", {}],
    ["tool", "test_simple_text", {}],
]

FILESYSTEM = [
    ["tool", "write_file", {"path": "${dir}/note.txt", "content": "first\nsecond \u2713\n"}],
    ["tool", "read_text_file", {"path": "${dir}/note.txt"}],
    ["tool", "edit_file", {"path": "${dir}/note.txt", "edits": [{"oldText": "first", "newText": "1st"}]}],
    ["tool", "read_text_file", {"path": "${dir}/note.txt", "head": 1}],
    ["tool", "list_directory", {"path": "${dir}"}],
    ["tool", "read_text_file", {"path": "/etc/passwd"}],
    ["tool", "move_file", {"source": "${dir}/note.txt", "destination": "${dir}/moved.txt"}],
]

MEMORY = [
    ["tool", "create_entities", {"entities": [{"name": "Ann", "entityType": "person", "observations": ["likes tea"]}]}],
    ["tool", "add_observations", {"observations": [{"entityName": "Ann", "contents": ["plays chess"]}]}],
    ["tool", "read_graph", {}],
    ["tool", "search_nodes", {"query": "tea"}],
    ["tool", "add_observations", {"observations": [{"entityName": "Nobody", "contents": ["x"]}]}],
]

GIT = [
    ["tool", "git_status", {"repo_path": "${dir}"}],
    ["tool", "git_add", {"repo_path": "${dir}", "files": ["new.txt"]}],
    ["tool", "git_diff_staged", {"repo_path": "${dir}"}],
    ["tool", "git_show", {"repo_path": "${dir}", "revision": "no-such-revision"}],
]

TIME = [
    ["tool", "get_current_time", {"timezone": "Europe/Berlin"}],
    ["tool", "convert_time", {"source_timezone": "UTC", "time": "12:00", "target_timezone": "Asia/Tokyo"}],
    ["tool", "convert_time", {"source_timezone": "Mars/Olympus", "time": "12:00", "target_timezone": "UTC"}],
]

STEPS = {
    "everything": EVERYTHING,
    "fixture": FIXTURE,
    "filesystem": FILESYSTEM,
    "memory": MEMORY,
    "git": GIT,
    "time": TIME,
}
