# {{ function }}{{ place }}
{%- if modern %}
async with asyncio.TaskGroup() as group:     # owns its tasks: none outlives the block
    group.create_task({{ bare }}(...))
{%- else %}
tasks = set()
task = asyncio.ensure_future({{ bare }}(...))
tasks.add(task)
task.add_done_callback(tasks.discard)        # and at the end: cancel and gather what is left
{%- endif %}
