{%- if computes -%}
from concurrent.futures import ProcessPoolExecutor

pool = ProcessPoolExecutor()       # one for the program; shut it down with the loop

async def handler(...):            # {{ function }}{{ place }}
    loop = asyncio.get_running_loop()
    result = await loop.run_in_executor(pool, work, argument)
{%- else -%}
async def handler(...):            # {{ function }}{{ place }}
    result = await {{ to_thread }}work, argument)
{%- endif %}
