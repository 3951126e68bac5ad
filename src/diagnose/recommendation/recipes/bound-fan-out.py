limit = asyncio.Semaphore({{ bound }})

async def bounded(item):
    async with limit:
{%- if modern %}
        async with asyncio.timeout(10):
            return await {{ bare }}(item)  # {{ function }}{{ place }}

async with asyncio.TaskGroup() as group:
    tasks = [group.create_task(bounded(item)) for item in items]
{%- else %}
        return await asyncio.wait_for({{ bare }}(item), 10)  # {{ function }}{{ place }}

results = await asyncio.gather(*(bounded(item) for item in items))
{%- endif %}
