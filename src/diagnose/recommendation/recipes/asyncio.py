async def all_of(items):
    limit = asyncio.Semaphore({{ in_flight }})

    async def one(item):
        async with limit:
            # the asynchronous form of {{ function }}{{ place }}
{%- if modern %}
            async with asyncio.timeout(10):
                return await {{ bare }}_async(client, item)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(item)) for item in items]
    return [task.result() for task in tasks]
{%- else %}
            return await asyncio.wait_for({{ bare }}_async(client, item), 10)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
{%- endif %}
