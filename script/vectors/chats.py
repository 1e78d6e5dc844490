#!/usr/bin/env python3
"""Remakes tests/text/golden/chats.json: chat templates in the manner of several model families and of single constructs, and what
transformers makes of messages with them.

Needs: pip install transformers jinja2  (5.24.0 and 3.1.6 made the committed file)
Usage: chats.py OUT   (OUT is tests/text/golden)
The file is a list of {"name", "template", "cases": [{"messages", "prompt", "text" or "refused"}]}: "refused" is what the template
raised. The tokens are bos <s>, eos </s>, unk <unk>; there is no pad token.
"""
import json
import os
import sys

import jinja2
from transformers.utils.chat_template_utils import render_jinja_template

FAMILIES = {
    "chatml with a default system text": (
        "{% for m in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
        "{{ '<|im_start|>system\nYou are kind.<|im_end|>\n' }}{% endif %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"),
    "chatml, indented, with tools that are none": """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}{{ tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- else %}
        {{- '<|im_start|>system\\nBe brief.<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {%- set content = message.content %}
        {%- if message.role == "assistant" and '</think>' in content %}
            {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- if loop.index0 > ns.last %}{{- ' (late)' }}{% endif %}
        {{- '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}
""",
    "inst brackets, system inside the first turn": (
        "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
        "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}"
        "{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('Roles must alternate, starting with ' ~ 'user') }}{% endif %}"
        "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
        "{% else %}{% set content = message['content'] %}{% endif %}"
        "{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}"
        "{% elif message['role'] == 'assistant' %}{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"),
    "headers, begin token, system trimmed": """{{- bos_token }}
{%- if custom_tools is defined %}
    {%- set tools = custom_tools %}
{%- endif %}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}

{#- The system message, so that it can be put in front. #}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|header|>system<|/header|>\\n\\n" }}
{%- if builtin_tools is defined or tools is not none %}
    {{- "Environment: " + (builtin_tools | reject('equalto', 'x') | join(", ")) + "\\n\\n" }}
{%- endif %}
{{- "Today: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|header|>' + message['role'] + '<|/header|>\\n\\n'+ message['content'] | trim + '<|eot|>' }}
    {%- elif 'tool_calls' in message %}
        {{- raise_exception("not here") }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|header|>assistant<|/header|>\\n\\n' }}
{%- endif %}
""",
    "short tags, one line a turn": (
        "{% for message in messages %}{% if message['role'] == 'system' %}{{'<|system|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'user' %}{{'<|user|>\n' + message['content'] + '<|end|>\n'}}"
        "{% elif message['role'] == 'assistant' %}{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"),
    "alternation counted in a namespace, users selected": """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}
    {%- set tools = none %}
{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}

{#- Messages must alternate. #}
{%- set ns = namespace() %}
{%- set ns.index = 0 %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.role == "tool_results" or (message.tool_calls is defined and message.tool_calls is not none)) %}
        {%- if (message["role"] == "user") != (ns.index % 2 == 0) %}
            {{- raise_exception("After the optional system message, roles must alternate") }}
        {%- endif %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}

{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- elif message == user_messages[-1] %}
            {{- "[LAST] " + message["content"] + "[/LAST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- else %}
        {{- raise_exception("Only user and assistant roles, not " + message["role"]) }}
    {%- endif %}
{%- endfor %}
""",
}

CHATS = [
    [("user", "What is shown?")],
    [("system", " Be exact. \n"), ("user", "Where is the liver?")],
    [("user", "  Hi \n"), ("assistant", "<think>\nhm\n</think>\n\nHello. "), ("user", "¿Qué órgano? 肝脏在哪里？")],
    [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")],
    [("user", "a"), ("user", "b")],
    [("system", "only")],
    [("assistant", "first")],
    [("user", "")],
    [("user", "{{ not a template }} {% if %} \" ' \\ \t <&>")],
]

SNIPPETS = [
    # white space around tags
    "a\n  {% if true %}\n  b\n  {% endif %}\nc\n", "a {%- if true -%} b {%- endif -%} c", "a\n\n  {{- 1 -}}  \n\n b", "  {% if true +%}\n  x{% endif %}\n y",
    "x\n  {%+ if true %}\n  y\n  {%+ endif %}\nz", "a {# c #} b\n{# d #}\n  {# e #}\nf {#- g -#} h", "\r\na\r\n{% if true %}\r\nb\r\n{% endif %}\r\n", "\n\n", "x\n", "x\n\n",
    "{% if true %}{% endif %}\n\nx", "{{ 1 }}\n\n{{ 2 }}\n", "  {{ 1 }}  {% if true %}  {{ 2 }}\n  {% endif %}  {{ 3 }}", "{%if true%}x{%endif%}", "{{1}}{{ '}}' }}{{ \"%}\" }}",
    "a{% if true %}\n    b\n{% endif %}    {% if true %}c{% endif %}\n    {% if true %}d{% endif %}\n", "{#- x #}  y", "{{'{%'}}{{ '{{' }}", "{ { } } {x} %} }}", "\t\x0b{%- if true %}x{% endif -%}\x0c y",
    "{% if true %}\n\n{%- endif %}x", "{% generation %}x{% endgeneration %}y", "a\n    {% generation %}\n  b\n    {% endgeneration %}\nc",
    # expressions
    "{{ 1 + 2 * 3 - 4 // 3 % 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 % -3 }} {{ (1 + 2) * 3 }} {{ 2 - 1 - 1 }} {{ -3 + 5 }}", "{{ 'a' ~ 1 ~ none ~ true }} {{ 1 ~ 2 ~ (2 + 3) }}",
    "{{ 1 == 2 if false else 'no' }} {{ 'x' if false }}|{{ 'a' if 0 else 'b' if 1 else 'c' }}", "{{ true and 'x' }} {{ '' or 'y' }} {{ not '' }} {{ none or 0 }} {{ 1 and 0 and 2 }} {{ not 1 == 2 }}",
    "{{ 1 < 2 }} {{ 'a' < 'b' }} {{ 2 >= 2 }} {{ 'é' > 'z' }} {{ true == 1 }} {{ false != 0 }} {{ none == false }} {{ 'a' == 'a ' }} {{ [1, 'x'] == [1, 'x'] }} {{ true + 1 }}",
    "{{ 'a' in 'cat' }} {{ 'x' not in 'cat' }} {{ 'role' in messages[0] }} {{ 3 in [1, 2, 3] }} {{ not 'a' in 'b' }} {{ 'a' in nothing }} {{ '' in 'x' }}",
    "{{ 'it''s' }} {{ \"a\" 'b' }} {{ 'tab\\tnew\\nback\\\\quote\\'\\\"q\\d' }}", "{{ messages[0]['role'] }} {{ messages[-1].role }} {{ messages[9] }}|{{ messages[0].nope }}|{{ messages[0]['nope'] is defined }}",
    "{{ nothing }}|{{ nothing is defined }} {{ nothing is undefined }} {{ nothing or 'else' }} {{ not nothing }} {{ nothing == nope }} {{ none is none }} {{ nothing is none }} {{ pad_token is defined }}",
    "{{ messages[1:]|length }} {{ messages[:1]|length }} {{ messages[:-1]|length }} {{ messages[::-1][0].content }} {{ messages[5:]|length }} {{ messages[-1:][0].role }} {{ messages[1:0]|length }}",
    "{{ 'Ab c' is string }} {{ 1 is string }} {{ messages is iterable }} {{ messages[0] is mapping }} {{ messages is sequence }} {{ 3 is odd }} {{ 4 is even }} {{ 3 is number }} {{ true is boolean }} {{ true is number }} {{ false is false }} {{ 0 is false }} {{ true is integer }}",
    "{{ 1 is eq 1 }} {{ 2 is equalto(3) }} {{ 2 is ne 3 }} {{ not 2 is odd }} {{ 2 is not odd and 1 is odd }} {{ ('a' is string) ~ 'b' }} {{ 'a' is string and true }}",
    # filters and methods
    "[{{ '  a b\\n\\t ' | trim }}] [{{ 'xxaxx' | trim('x') }}] [{{ '  a '.strip() }}] [{{ '\\n\\na\\n'.lstrip('\\n') }}] [{{ 'a.,.'.rstrip('.') }}] [{{ '  a '.lstrip() }}]",
    "{{ 'héllo' | length }} {{ messages | length }} {{ messages[0] | length }} {{ nothing | length }} {{ [] | count }} {{ '肝' | string | length }} {{ 12 | string | length }} {{ -1 | string }}",
    "{{ 'a\"b\\\\\\n\\té肝<>&' | tojson }} {{ messages[0] | tojson }} {{ [1, none, true, []] | tojson }} {{ messages | tojson | length }} {{ 5 | tojson }}", "{{ nothing | default('d') }} {{ '' | default('d') }}|{{ '' | default('d', true) }} {{ none | default('d') }} {{ nothing | default }}",
    "{{ messages | first | tojson }} {{ (messages | last).role }} {{ ([] | first) is defined }} {{ messages | map('x') if false else 'lazy' }}", "{{ 'a<b>c'.split('<b>')[-1] }} {{ 'abc'.split('x') | length }} {{ ',a,'.split(',') | length }} {{ 'a</think>b</think> c'.split('</think>')[0] }}",
    "{{ 'abc'.startswith('ab') }} {{ 'abc'.endswith('bc') }} {{ 'a'.startswith('ab') }} {{ 'abc'.endswith('') }} {{ ''.endswith('a') }}", "{{ messages | selectattr('role', 'equalto', 'user') | list | length }} {{ messages | selectattr('nope') | list | length }} {{ messages | selectattr('content') | list | length }}",
    # statements
    "{% for m in messages %}{{ loop.index }}/{{ loop.length }} {{ loop.first }} {{ loop.last }} {{ loop.revindex }} {{ loop.revindex0 }} {{ loop.index0 }};{% endfor %}", "{% for m in [] %}x{% else %}none{% endfor %} {% for m in nothing %}x{% else %}none{% endfor %} {% for k in messages[0] %}{{ k }},{% endfor %}",
    "{% for m in messages if m.role == 'user' %}{{ loop.index }}{{ m.content }}{{ loop.last }};{% endfor %}", "{% set x = 1 %}{% for m in messages %}{% set x = x + 1 %}{{ x }}{% endfor %}{{ x }}", "{% set ns = namespace(x=1, y='a') %}{% for m in messages %}{% set ns.x = ns.x + 1 %}{% set ns.z = loop.index %}{% endfor %}{{ ns.x }}{{ ns.y }}{{ ns.z }}{{ ns.q is defined }}",
    "{% if true %}{% set y = 5 %}{% endif %}{{ y }} {% for a in [1, 2] %}{% for b in [3, 4] %}{{ a }}{{ b }}{{ loop.index }} {% endfor %}{{ loop.index }} {% endfor %}", "{% for a, b in [[1, 2], [3, 4]] %}{{ a }}-{{ b }};{% endfor %}", "{% if false %}a{% elif 0 %}b{% elif 'x' %}c{% else %}d{% endif %}{% if messages[1] is defined %}e{% endif %}",
    "{% for m in messages %}{% if loop.first %}{% set first = m %}{% endif %}{{ first.role if first is defined else '-' }} {% endfor %}", "{% set messages = messages[1:] %}{{ messages | length }}", "{% if false %}{{ odd_function(1) }}{{ 'a' | odd_filter }}{{ 1 is odd_test }}{% endif %}ok", "{% if messages | length > 1 %}{{ raise_exception('too many: ' ~ messages | length) }}{% endif %}fine",
    "{{ bos_token }}{{ eos_token }}{{ unk_token }}{{ add_generation_prompt }}{{ tools }}{{ documents is none }}", "{% set a = 'x' %}{% set b = a ~ a %}{{ b }}{%- set c = b -%} {{ c }}", "{{ ((messages)[0])['ro' ~ 'le'] }} {{ messages[0]['content'] | trim | length + 1 }} {{ 'a' + 'b' | trim + 'c' }}",
]


def render(template, chat, prompt):
    messages = [{"role": role, "content": content} for role, content in chat]
    case = {"messages": messages, "prompt": prompt}
    try:
        texts, _ = render_jinja_template([messages], chat_template=template, add_generation_prompt=prompt, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
        case["text"] = texts[0]
    except jinja2.exceptions.UndefinedError:
        raise
    except jinja2.exceptions.TemplateError as error:
        case["refused"] = str(error)
    return case


def main(out):
    written = []
    for name, template in FAMILIES.items():
        written.append({"name": name, "template": template, "cases": [render(template, chat, prompt) for chat in CHATS for prompt in (False, True)]})
    for snippet in SNIPPETS:
        written.append({"name": snippet, "template": snippet, "cases": [render(snippet, chat, True) for chat in (CHATS[2], CHATS[0])]})
    with open(os.path.join(out, "chats.json"), "w", encoding="utf-8") as file:
        file.write("[\n" + ",\n".join(json.dumps(item, ensure_ascii=False, separators=(",", ":")) for item in written) + "\n]\n")


main(sys.argv[1])
