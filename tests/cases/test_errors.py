"""What endpoints say when they refuse, in their own words and shapes: what it means, and how long they ask to wait."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from sedi_dagster.teacher import retry_after
from sedi_dagster.teacher.failures import EndpointNames, from_status

NAMES = EndpointNames("http://127.0.0.1/v1", "model-a")
OPTIONAL = ["max_tokens", "temperature", "top_p", "seed", "stop", "max_completion_tokens"]
FATAL = {"key": "does not accept the key", "quota": "quota", "model": "does not know the model"}


def E(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


CASES: list[tuple[str, int, Any]] = [
    ("refused", 400, E("The request was rejected because it was considered high risk")),
    ("refused", 400, E("Your prompt contains content that is not allowed")),
    ("quota", 403, E("用户额度不足, 剩余额度: 0.00", type="new_api_error", code="insufficient_user_quota")),
    (
        "model",
        400,
        {"error": "No models loaded. Please load a model in the developer page or use the `lms load` command."},
    ),
    ("too_long", 400, E("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000")),
    ("rate_limited", 400, {"__type": "ThrottlingException", "message": "Too many tokens, please wait."}),
    # refused
    (
        "refused",
        400,
        E(
            "The response was filtered due to the prompt triggering Azure OpenAI's content management policy.",
            code="content_filter",
        ),
    ),
    (
        "refused",
        400,
        {
            "error": {
                "code": "1301",
                "message": "系统检测到输入或生成内容可能包含不安全或敏感内容，请您避免输入易产生敏感内容的提示语",
            }
        },
    ),
    ("refused", 400, {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
    ("refused", 400, E("Output blocked by content filtering policy", type="invalid_request_error")),
    ("refused", 400, E("Your request was rejected as a result of our safety system.")),
    ("refused", 403, E("Your prompt was flagged by our moderation", code=403)),
    (
        "refused",
        400,
        E("Invalid prompt: your prompt was flagged as potentially violating our usage policy.", code="invalid_prompt"),
    ),
    ("refused", 400, E("input new_sensitive (1026)")),
    ("refused", 400, {"error_code": 336104, "error_msg": "内容违规"}),
    ("refused", 422, {"detail": "Content rejected: NSFW"}),
    ("refused", 400, {"message": "Guardrail blocked: PII detected"}),
    ("refused", 451, "Unavailable for legal reasons"),
    ("refused", 400, E("Die Anfrage verstößt gegen die Inhaltsrichtlinie")),
    ("refused", 400, E("入力に不適切な内容が含まれています")),
    (
        "refused",
        400,
        {
            "error": {
                "message": "The request was rejected because it was considered high risk",
                "type": "content_filter",
            }
        },
    ),
    # bad key
    ("key", 401, E("Incorrect API key provided")),
    (
        "key",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid. Please pass a valid API key.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            }
        ],
    ),
    ("key", 403, {"message": "Forbidden: invalid token"}),
    ("key", 403, {"detail": "Not authenticated"}),
    (
        "key",
        400,
        {
            "error": {
                "message": "The API Key appears to be invalid or may have expired. Please verify your credentials."
            }
        },
    ),
    ("key", 400, {"code": "InvalidApiKey", "message": "Invalid API-key provided."}),
    ("key", 403, {"message": "Access denied due to invalid subscription key or wrong API endpoint."}),
    ("key", 400, {"error": "invalid x-api-key"}),
    ("key", 403, {"error": {"message": "The bearer token included in the request is invalid."}}),
    ("key", 400, {"msg": "令牌无效", "code": 1}),
    ("key", 403, {"error": {"message": "无效的API Key"}}),
    (
        "key",
        500,
        {"error": {"message": "Invalid proxy server token passed. Authentication Error", "type": "auth_error"}},
    ),
    # quota
    ("quota", 402, E("Insufficient Balance")),
    (
        "quota",
        429,
        E(
            "You exceeded your current quota, please check your plan and billing details.",
            code="insufficient_quota",
            type="insufficient_quota",
        ),
    ),
    ("quota", 403, E("Your account balance is insufficient")),
    ("quota", 429, {"error": {"code": "1113", "message": "您的账户已欠费，请充值后重试。"}}),
    ("quota", 400, E("Your credit balance is too low to access the Anthropic API.")),
    (
        "quota",
        403,
        {"code": "Arrearage", "message": "Access denied, please make sure your account is in good standing."},
    ),
    (
        "quota",
        429,
        {
            "error": {
                "message": "Your account org-x is suspended, please check your plan and billing details",
                "type": "exceeded_current_quota_error",
            }
        },
    ),
    ("quota", 403, {"error": {"message": "Key limit exceeded. Manage it using https://openrouter.ai/keys"}}),
    (
        "quota",
        400,
        {
            "error": {
                "message": "Budget has been exceeded! Current cost: 5.1, Max budget: 5.0",
                "type": "budget_exceeded",
            }
        },
    ),
    ("quota", 403, {"error": {"message": "This organization has reached its monthly spend limit"}}),
    # model
    ("model", 404, E("The model `x` does not exist or you do not have access to it.", code="model_not_found")),
    ("model", 404, {"error": "model 'x' not found, try pulling it first"}),
    ("model", 400, E("x is not a valid model ID", code=400)),
    (
        "model",
        400,
        {"object": "error", "message": "The model `x` does not exist.", "type": "NotFoundError", "code": 404},
    ),
    (
        "model",
        404,
        {"error": {"code": "DeploymentNotFound", "message": "The API deployment for this resource does not exist."}},
    ),
    ("model", 400, {"error": {"message": "Model Not Exist", "type": "invalid_request_error"}}),
    ("model", 404, {"detail": "Model not found"}),
    ("model", 400, {"error": {"message": "litellm.BadRequestError: LLM Provider NOT provided. You passed model=x"}}),
    ("model", 404, {"error": {"message": "No endpoints found for x.", "code": 404}}),
    (
        "model",
        400,
        {
            "error": {
                "message": "The model x has been decommissioned and is no longer supported.",
                "code": "model_decommissioned",
            }
        },
    ),
    ("model", 400, {"error": {"message": "Unknown model: x"}}),
    ("model", 400, {"error": {"code": "1211", "message": "模型不存在，请检查模型代码。"}}),
    ("model", 403, {"error": {"message": "Project does not have access to model x", "code": "model_not_found"}}),
    ("model", 410, {"error": {"message": "model x was retired"}}),
    # too long
    (
        "too_long",
        400,
        E(
            "This model's maximum context length is 4096 tokens. However, you requested 5000 tokens",
            code="context_length_exceeded",
        ),
    ),
    ("too_long", 400, E("the request exceeds the available context size", type="exceed_context_size_error")),
    ("too_long", 400, {"message": "`inputs` tokens + `max_new_tokens` must be <= 4096. Given: 5000"}),
    ("too_long", 400, E("prompt is too long: 210000 tokens > 200000 maximum")),
    ("too_long", 400, E("The input token count (5000) exceeds the maximum number of tokens allowed (4096).")),
    ("too_long", 400, {"detail": "Input length 5000 exceeds maximum length 4096"}),
    ("too_long", 413, "Request Entity Too Large"),
    (
        "too_long",
        400,
        {"error": {"message": "Requested token count exceeds the model's maximum context length of 4096 tokens."}},
    ),
    ("too_long", 422, {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000"}),
    ("too_long", 400, {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"}),
    (
        "too_long",
        400,
        {
            "error": {
                "message": "Prompt contains 5000 tokens and 0 draft tokens, too large for model with 4096 maximum context length"
            }
        },
    ),
    ("too_long", 400, {"error": {"code": "1261", "message": "Prompt 超长"}}),
    ("too_long", 500, {"error": {"message": "context window exceeded"}}),
    # parameters
    (
        "parameters",
        400,
        E(
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.",
            param="max_tokens",
            code="unsupported_parameter",
        ),
    ),
    (
        "parameters",
        400,
        E(
            "Unsupported value: 'temperature' does not support 0.7 with this model. Only the default (1) value is supported.",
            param="temperature",
            code="unsupported_value",
        ),
    ),
    (
        "parameters",
        422,
        {
            "detail": [
                {
                    "type": "extra_forbidden",
                    "loc": ["body", "seed"],
                    "msg": "Extra inputs are not permitted",
                    "input": 5,
                }
            ]
        },
    ),
    ("parameters", 400, {"message": "seed: property 'seed' is unsupported"}),
    (
        "parameters",
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.',
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    ("parameters", 400, E("litellm.UnsupportedParamsError: x does not support parameters: ['seed'], for model=y.")),
    ("parameters", 400, E("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")),
    ("parameters", 400, E("temperature is deprecated for this model")),
    ("parameters", 400, {"error": {"message": "Argument not supported on this model: stop"}}),
    ("parameters", 400, {"error": {"message": "参数 seed 不支持"}}),
    ("parameters", 400, {"error": {"message": "Additional properties are not allowed ('seed' was unexpected)"}}),
    ("parameters", 422, {"detail": "seed is not supported"}),
    ("parameters", 400, {"error": {"message": "top_p must be in (0, 1)", "param": "top_p"}}),
    ("parameters", 400, {"error": {"message": "Invalid value for 'stop': maximum 1 stop sequence"}}),
    ("parameters", 400, {"error": {"message": "stopSequences: this field is not permitted; stop"}}),
    ("parameters", 400, {"error": {"message": "Unknown parameter: 'seed'."}}),
    ("parameters", 400, {"error": "unexpected keyword argument 'seed'"}),
    ("parameters", 500, {"error": "create() got an unexpected keyword argument 'seed'"}),
    # rate
    ("rate_limited", 429, E("Rate limit reached")),
    ("rate_limited", 529, E("Overloaded", type="overloaded_error")),
    ("rate_limited", 403, {"error": {"message": "Rate limit exceeded: free-models-per-day"}}),
    ("rate_limited", 400, {"error": {"code": "1302", "message": "您的账户已达到速率限制"}}),
    ("rate_limited", 503, "Slow Down"),
    (
        "rate_limited",
        400,
        {"code": "Throttling.RateQuota", "message": "Requests rate limit exceeded, please try again later."},
    ),
    ("rate_limited", 400, {"error": {"message": "ThrottlingException: Too many requests"}}),
    (
        "rate_limited",
        429,
        {
            "error": {
                "message": "Quota exceeded for metric: generate_content_free_tier_requests, limit: 10",
                "status": "RESOURCE_EXHAUSTED",
                "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "31s"}],
            }
        },
    ),
    ("rate_limited", 429, E("Rate limit reached for requests per day. Please retry after 5 minutes.")),
    (
        "rate_limited",
        429,
        E("You exceeded your current requests list / token limit, try again in 20.5s", code="rate_limit_exceeded"),
    ),
    ("passing", 502, "<html><head><title>502 Bad Gateway</title></head></html>"),
    ("passing", 524, "<html><title>A timeout occurred</title></html>"),
    ("passing", 500, {}),
    ("passing", 503, ""),
    ("passing", 500, None),
    ("passing", 499, "client closed"),
    ("rejected", 400, {"detail": "Stream must be set to true"}),
    ("rejected", 400, {"error": {"message": "Conversation roles must alternate user/assistant"}}),
]

# Further wordings, kind by kind.
CASES += [
    ("key", 403, E("Your API key was reported as leaked. Please use another API key.")),
    ("key", 403, {"Message": "User is not authorized to access this resource with an explicit deny"}),
    ("key", 403, E("Method doesn't allow unregistered callers. Please use some form of identity.")),
    ("key", 400, E("No auth credentials found", code=401)),
    ("key", 400, {"code": 1004, "msg": "login fail: carry the secret in the 'Authorization' field"}),
    (
        "quota",
        403,
        {"code": "AllocationQuota.FreeTierOnly", "message": "The free tier of the model has been exhausted."},
    ),
    ("quota", 400, E("You have reached your specified API usage limits. You will regain access on 2026-12-01.")),
    ("model", 400, {"message": "The provided model identifier is invalid."}),
    (
        "model",
        400,
        {"message": "Invocation of model ID maker.model-4-6 with on-demand throughput isn’t supported. Use a profile."},
    ),
    ("model", 403, {"message": "You don't have access to the model with the specified model ID."}),
    ("model", 400, E("Unable to access model x.", code="model_not_available")),
    ("model", 400, E("You passed in model=x. There is no 'model_name' with this model string")),
    ("too_long", 400, E("max_tokens must be at least 1, got -33.")),
    ("too_long", 400, E("max_tokens: 200000 > 8192, which is the maximum allowed number of output tokens")),
    ("too_long", 400, E("`max_tokens` must be less than or equal to `8192`")),
    ("too_long", 400, E("Input length (5000 tokens) exceeds the maximum allowed length (4095 tokens).")),
    ("too_long", 400, E("Could not finish the message because max_tokens or model output limit was reached.")),
    ("rate_limited", 503, {"message": "Too many connections. Please wait before trying again."}),
    ("rate_limited", 498, E("Flex tier capacity exceeded", code="capacity_exceeded")),
    ("passing", 424, E("Failed Dependency: model failed")),
    ("passing", 400, E("Upstream error: Internal Server Error", code=502)),
    ("refused", 400, {"message": "The content was rejected: jailbreak detected"}),
    ("refused", 400, E("输入内容不合规，请修改后重试")),
    ("parameters", 400, E("`temperature` may only be set to 1 when thinking is enabled.")),
    ("parameters", 400, E("Invalid param: temperature should be in (0, 1]")),
    ("parameters", 400, E("参数错误：temperature 取值范围 (0,1]")),
    ("parameters", 400, E("Invalid 'seed': integer above maximum value.", param="seed")),
    ("parameters", 400, E("stop_sequences: each stop sequence must contain non-whitespace")),
    ("parameters", 400, {"error": "json: cannot unmarshal number into Go struct field Request.stop of type string"}),
    ("parameters", 501, E("seed is not implemented")),
    # wordings with a dot in the model's name, and what stands between two meanings
    ("too_long", 429, E("Request too large for model-4 on tokens per min (TPM): Limit 30000, Requested 30601.")),
    ("too_long", 400, E("max_tokens for `model-3.1-8b` must be less than or equal to 8000")),
    (
        "too_long",
        400,
        {"code": 20015, "message": "length of prompt_tokens (40000) must be less than max_seq_len (32768)."},
    ),
    ("too_long", 400, E("Total tokens of image and text exceed max message tokens. Request id: 02", param="")),
    ("rate_limited", 400, {"message": "Too many tokens per day, please wait before trying again."}),
    ("rate_limited", 400, E("当前API请求过多，请稍后重试", code="1305")),
    ("rate_limited", 400, E("您当前使用该API的并发数过高，请降低并发", code="1302")),
    ("quota", 403, E("The request failed because your account has an overdue balance.", code="AccountOverdueError")),
    ("key", 400, E("This organization has been disabled.", type="invalid_request_error")),
    ("model", 400, E("The model `model-4.5-air` is not available", code="1211")),
    ("model", 400, E("The operation does not work with the specified model, x. Please choose different model.")),
    ("model", 403, E("The model `x-3.1` is blocked at the project level.", code="model_permission_blocked_project")),
    ("model", 403, {"code": "Model.AccessDenied", "message": "Model access denied."}),
    ("model", 403, E("key not allowed to access model. This key can only access models=['a'].", code="401")),
    ("model", 404, {"error_code": "ENDPOINT_NOT_FOUND", "message": "Endpoint 'x' does not exist"}),
    ("model", 404, {"status": 404, "title": "Not Found", "detail": "Function 'abc': Not found for account 'xyz'"}),
    ("refused", 400, E("Content blocked: keyword 'bird' detected")),
    ("quota", 403, E("Monthly budget for this virtual key has been exhausted")),
    ("quota", 429, E("You've used all of your free credits for this month.")),
    ("quota", 403, {"error": "Your subscription has expired"}),
    ("key", 403, {"message": "The request signature we calculated does not match the signature you provided."}),
    ("model", 400, E("Model identifier `x` is not recognized")),
    ("model", 422, {"detail": [{"type": "enum", "loc": ["body", "model"], "msg": "Input should be 'a' or 'b'"}]}),
    ("too_long", 400, E("The total number of tokens (prompt 4000 + max_tokens 1000) must not exceed 4096")),
    ("too_long", 400, E("Your prompt has 5000 tokens, more than the model limit of 4096")),
    ("too_long", 422, {"detail": "Sequence length 5000 is larger than the 4096 the engine was built for"}),
    ("too_long", 400, E("该模型的最大上下文长度为 8192 个 token，您的请求为 9000")),
    ("refused", 403, E("Input contains disallowed content (self-harm)")),
    ("refused", 400, E("内容审核未通过")),
    ("rate_limited", 503, E("The service is experiencing high load. Please retry later.")),
    ("rate_limited", 400, E("QPS超限，请稍后再试")),
    ("rate_limited", 403, {"message": "Limit Exceeded"}),
    ("quota", 403, E("该令牌额度已用尽", type="one_api_error")),
    ("quota", 429, {"message": "You have no quota", "code": "quota_exceeded"}),
    ("quota", 403, {"code": 403, "reason": "NOT_ENOUGH_BALANCE", "message": "not enough balance"}),
    ("quota", 429, E("Insufficient funds. Please top up your account.")),
    ("rate_limited", 429, {"code": "Throttling.AllocationQuota", "message": "Allocated quota exceeded."}),
    ("rate_limited", 429, E("Resource has been exhausted (e.g. check quota).")),
    ("key", 400, E("Bad request: Missing or invalid Authorization header")),
    ("model", 403, E("该令牌无权使用模型：model-4o", type="one_api_error")),
    ("model", 400, E('Failed to load model "x-20b". Error: Error loading model.')),
    ("model", 400, E("model `x` is deprecated and has been shut down, learn more here")),
    ("too_long", 400, E("Input exceeds the maximum allowed context (8192 tokens)")),
    ("too_long", 500, E("Prompt tokens (5000) exceeds max_input_len (4096)")),
    ("too_long", 400, {"detail": "Context length 9000 is greater than max_seq_len 8192"}),
    ("parameters", 422, {"detail": [{"loc": ["body", "temperature"], "msg": "Input should be greater than 0"}]}),
    ("refused", 400, {"error_msg": "the content of message involves ethical violations", "error_code": 336501}),
    ("refused", 400, E("Запрос содержит недопустимый контент")),
    ("rate_limited", 503, E("Instance is at maximum capacity, try again later")),
    ("parameters", 400, E("this model is not supported MaxTokens, please use another", param="max_tokens")),
    ("parameters", 400, E("Use 'max_completion_tokens' instead of 'max_tokens' for this model")),
    ("rejected", 400, E('No such route: {"model": "a", "seed": 1, "temperature": 0.7, "top_p": 0.9}')),
    ("rejected", 400, E("Please stop sending empty messages")),
    ("parameters", 400, E("Unsupported parameter: 'seed' is not supported with this model.", param="model")),
    ("passing", 500, E("prompt processing exceeded time limit of 300")),
    ("passing", 500, E("sequence aborted after more than 300 s in the queue")),
    ("rate_limited", 429, E("You have used all your requests per minute quota")),
    ("rate_limited", 429, E("out of request quota for this minute")),
    ("parameters", 400, E("Недопустимое значение параметра temperature")),
    ("parameters", 400, E("temperature: input 3 is greater than the maximum 2")),
    ("parameters", 400, E("Invalid value for 'temperature': the input value 3 is larger than the maximum.")),
    ("refused", 400, E("Your prompt was flagged: 'an overdue invoice'")),
    ("refused", 400, E("Filtered: 'he is out of funds'", code="content_filter")),
    ("rejected", 400, E("Request limit: at most 10 messages are allowed")),
    ("rate_limited", 403, E("Concurrency limit reached")),
    ("rate_limited", 403, E("Request limit reached")),
    # what a code says that the status does not
    ("fatal", 400, [E("User location is not supported for the API use.", code=400, status="FAILED_PRECONDITION")]),
    ("quota", 500, {"status_code": 500, "message": "x", "details": {"status": 402, "title": "y"}}),
    ("rejected", 500, E("the request is wrong", code=400)),
    ("passing", 500, E("worker 3", code=404)),
    ("passing", 500, E("Internal", type="not_found_error")),
    ("rejected", 400, E("The field 'credit' is required")),
    ("parameters", 400, E("Please use another model: seed is unsupported")),
    ("key", 400, E("x", status="UNAUTHENTICATED")),
    ("passing", 400, E("x", code=503)),
    # money, and how it is lacking
    ("quota", 403, E("This API method requires billing to be enabled.", status="PERMISSION_DENIED")),
    ("quota", 403, {"detail": "Your trial period has ended. Add a payment card to continue."}),
    ("quota", 400, E("You have reached the monthly limit of your plan.", type="plan_limit")),
    ("quota", 400, E("You do not have enough points to message this bot")),
    ("quota", 429, E("Your account has reached its limit, and the model service has been paused.")),
    ("rate_limited", 403, {"message": "Out of call volume quota. Quota will be replenished in 12:31:22."}),
    ("key", 403, E("cookie is missing, log in again")),
    ("key", 400, {"Response": {"Error": {"Message": "The provided credentials could not be validated."}}}),
    ("model", 400, [E("Project `1` is not allowed to use Publisher Model `a/b`", status="FAILED_PRECONDITION")]),
    ("model", 400, E("This model is restricted to authorized applications.")),
    ("rejected", 400, E("Unable to tokenize for model X-3.1: Invalid 'content' type. Expected one of: ['str']")),
    ("too_long", 400, E("max tokens of 8192 exceeded")),
    ("too_long", 400, E("prompt tokens plus max_tokens is over the limit of the model")),
    ("too_long", 500, 'POST: 400 Bad Request {"message":"Слишком длинный запрос: 121692 токенов"}'),
    ("too_long", 400, E("Die Eingabe ist zu lang")),
    ("too_long", 400, E("Votre requête est trop longue")),
    ("too_long", 400, E("La entrada es demasiado larga")),
    ("too_long", 400, E("A entrada é muito longa")),
    ("too_long", 400, E("入力が長すぎます")),
    ("too_long", 400, E("입력이 너무 깁니다")),
    ("refused", 498, {"message": "Request blocked: potential violation of our Usage Guidelines."}),
    ("parameters", 422, {"detail": "body.stop: too many stop sequences (max 4)"}),
    ("quota", 403, E("this model requires a subscription, upgrade for access", type="permission_error")),
    ("quota", 403, E("Your tenant quota for this month has been consumed", code="quota")),
    ("quota", 403, {"detail": "The user has exceeded their spending cap for the current period"}),
    ("quota", 400, E("credit card required: add it to your workspace", type="billing")),
    ("key", 403, E("OAuth token has been revoked. Please obtain a new token.", type="permission_error")),
    ("key", 400, E("Organization has been restricted. Please reach out to support.")),
    ("key", 400, {"message": "Your account has been deactivated, please check your email.", "success": False}),
    ("key", 400, {"message": "Incoming request does not contain a valid authorization token."}),
    ("key", 400, {"error_code": 6, "error_msg": "No permission to access data"}),
    ("rate_limited", 400, E("Your request times exceed the frequency limit 5 for a second.")),
    ("refused", 400, {"base_resp": {"status_code": 1027, "status_msg": "output content is sensitive"}}),
    ("fatal", 403, {"error": "Forbidden", "message": "Request blocked by web application firewall"}),
    ("too_long", 400, {"error_code": 336103, "error_msg": "the max input characters is 20000"}),
    ("model", 400, E("The requested model 'x-1-mini' has been sunset. Please migrate to 'x-pro'.")),
    ("parameters", 400, E("Invalid 'stop': empty array. Expected an array with minimum length 1", param="stop")),
    # with 403, what it is about says enough
    ("quota", 403, E("pre-consume token failed, remaining quota: $0.01, need: $0.12")),
    ("quota", 403, E("The subscription is off.", code="SubscriptionDisabled")),
    ("key", 403, {"error": "FORBIDDEN", "message": "Your API key does not exist or does not have the permissions"}),
    ("model", 403, E("Forbidden - key(abc123) not authorized to access the requested model.")),
    ("refused", 403, E("The key's guardrail has been applied to the request")),
    ("too_long", 403, E("Input token count + max_tokens must be less than the context length.")),
    ("rate_limited", 403, E("Limit exceeded", code=403)),
    # and elsewhere
    ("rate_limited", 503, E("Rate limited by provider, contact support to request higher concurrency.")),
    ("refused", 400, {"code": 400, "reason": "ILLEGAL_PROMPT", "message": "not this"}),
    ("refused", 400, {"message": "blocked output: please refer to our guide"}),
    ("refused", 400, E("请求被内容安全拦截")),
    ("too_long", 400, {"code": 40302, "message": "Input content has reached the limit"}),
    ("model", 400, E("Incorrect model ID. You do not have permission to use this model (tid: 2026)")),
    ("parameters", 400, {"message": "Wrong!", "errors": [{"path": ["top_p"], "message": "Number must be at most 1"}]}),
    ("parameters", 400, {"errors": [{"source": {"pointer": "/seed"}, "detail": "It is not allowed"}]}),
    ("parameters", 400, {"message": "stop: Input should be a valid string"}),
    # codes, however they are written, and before words
    ("quota", 400, {"code": "InsufficientBalance"}),
    ("quota", 429, E("Too many requests", type="MonthlySpendLimitReached")),
    ("quota", 500, E("insufficient balance (1008)", type="api_error")),
    ("quota", 429, E("You have exceeded today's quota, please try again tomorrow")),
    ("key", 400, E("Bad Request", code="InvalidAccessKeyId")),
    ("key", 403, E("Your account has been blocked for violating our usage policies.")),
    ("model", 400, {"code": "model.not-found", "message": "no"}),
    ("too_long", 400, {"type": "PromptTooLongError"}),
    ("too_long", 400, E("Too long (9000): 'Explain what unsafe content is'", code="context_length_exceeded")),
    ("too_long", 422, {"detail": "prompt (8000) + completion (512) tokens do not fit 8192"}),
    ("refused", 400, E("Bad Request", code="ContentFilterTriggered")),
    ("refused", 400, E("Your request was flagged: 'Why has my API key expired?'", code="content_policy_violation")),
    ("refused", 424, {"error": [{"code": 2016, "message": "Prompt blocked due to security configurations"}]}),
    ("rate_limited", 400, {"errorCode": "TOO_MANY_REQUESTS", "message": "Request failed"}),
    ("rate_limited", 503, {"error": "Model x is currently loading"}),
    ("parameters", 400, E("Model x does not support parameter topP.")),
    ("parameters", 400, {"errorCode": "INVALID_PARAMETER", "parameter": "topP", "message": "out of range"}),
    ("rejected", 400, E("Malformed request. Accepted fields: model, messages, temperature, top_p, seed")),
    ("rejected", 400, E("Invalid safety_settings value")),
    ("rejected", 400, E("This model only supports stream mode, enable it to access the model")),
    # what says nothing else, and is about something
    ("passing", 400, E("Model has timed out in processing the request. Try your request again.")),
    ("rate_limited", 400, E("Server is busy, please retry later")),
    ("passing", 500, E("queue length exceeds limit 256")),
    ("passing", 500, E("Error loading model x")),
    ("key", 400, E("You didn't provide an API key.")),
    ("fatal", 400, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
]


@pytest.mark.parametrize(("meaning", "status", "body"), CASES)
def test_an_error_has_one_meaning_whoever_says_it(meaning: str, status: int, body: Any) -> None:
    failure = from_status(status, body, {}, NAMES, OPTIONAL)
    if meaning in FATAL:
        assert failure.fatal is not None and FATAL[meaning] in failure.fatal.problem
    else:
        assert failure.kind == meaning


def test_an_error_that_names_the_model_where_nothing_was_found_is_about_it() -> None:
    failure = from_status(404, E("x-7b is not being served here"), {}, EndpointNames("http://127.0.0.1/v1", "x-7b"))
    assert failure.fatal is not None and FATAL["model"] in failure.fatal.problem


NAMED = [
    "unknown field `seed`, expected one of `model`, `messages`, `max_tokens`, `temperature`",
    E('Unrecognized field "seed" (class Request), not ignorable (3 known properties: "model", "temperature"])'),
    {"title": "Validation errors occurred.", "errors": {"seed": ["Could not find member 'seed' on the object."]}},
    {"errors": [{"params": {"additionalProperty": "seed"}, "message": "must NOT have additional properties"}]},
    {
        "error": {
            "issues": [{"code": "unrecognized_keys", "keys": ["seed"], "message": "Unrecognized key(s) in object"}]
        }
    },
    E("This model does not support parameters: seed. Supported parameters: temperature, top_p"),
    E("Unsupported parameters for this model: seed"),
]


@pytest.mark.parametrize("body", NAMED)
def test_what_is_taken_is_not_left_out_with_what_is_refused(body: Any) -> None:
    assert from_status(400, body, {}, NAMES, OPTIONAL).parameters == {"seed"}


SHAPES: list[Any] = [
    {"detail": "a"},
    {"detail": [{"loc": ["body"], "msg": "a"}]},
    {"errors": [{"message": "a"}]},
    {"errors": ["a"]},
    {"error": "a"},
    {"error": ["a"]},
    {"Message": "a"},
    {"error": {"Message": "a"}},
    {"error": {"msg": "a"}},
    {"msg": "a"},
    {"status": {"message": "a"}},
    {"error": {"error": {"message": "a"}}},
    {"title": "a", "detail": "b"},
    {"non_field_errors": ["a"]},
    "a",
    ["a"],
    {"exception": "a"},
    {"message": ["a"]},
    {"error": {"message": {"text": "a"}}},
    {"error": {"message": '{"error":{"message":"a"}}'}},
    {"cause": "a"},
    {"reason": "a"},
    {"fault": {"faultstring": "a"}},
    {"Error": {"Message": "a"}},
    {"data": {"message": "a"}},
    {"err": "a"},
    {"error_message": "a"},
    {"text": "a"},
    {"error": {"metadata": {"raw": '{"message":"a"}'}}},
]


@pytest.mark.parametrize("body", SHAPES)
def test_the_words_of_an_error_are_found_in_any_shape(body: Any) -> None:
    assert from_status(400, body, {}, NAMES).message.removeprefix("bad_request: 400 ") in ("a", "b; a", "a; b")


NOW = 1_795_000_000.0


def waits() -> list[tuple[dict[str, str], Any, float | None]]:
    now = NOW
    headers: list[tuple[dict[str, str], float | None]] = [
        ({"retry-after": "5"}, 5), ({"retry-after": "5.5"}, 5.5), ({"Retry-After": "7"}, 7),
        ({"retry-after": email.utils.formatdate(now + 60, usegmt=True)}, 60),
        ({"retry-after": email.utils.formatdate(now - 60, usegmt=True)}, 0),
        ({"retry-after": "Thu, 26 Nov 2099 08:00:00 GMT"}, 366 * 86400), ({"retry-after": "-5"}, 0),
        ({"retry-after": "nan"}, None), ({"retry-after": "soon"}, None), ({"retry-after": ""}, None),
        ({"retry-after": "5s"}, 5), ({"retry-after": "1m30s"}, 90), ({"retry-after": "5, 5"}, 5),
        ({"retry-after": str(int(now + 30))}, 30), ({"retry-after-ms": "1500"}, 1.5),
        ({"x-ms-retry-after-ms": "2000"}, 2), ({"x-ratelimit-reset": str(int(now + 30) * 1000)}, 30),
        ({"x-ratelimit-reset": str(int(now + 30))}, 30), ({"ratelimit-reset": "30"}, 30),
        ({"x-ratelimit-reset-requests": "1m0s", "x-ratelimit-remaining-requests": "0"}, 60),
        ({"x-ratelimit-reset-requests": "1m0s", "x-ratelimit-remaining-requests": "4"}, None),
        ({"ratelimit": "limit=10, remaining=0, reset=30"}, 30), ({"ratelimit": '"a";r=0;t=30'}, 30),
        ({"ratelimit": '"a";r=4;t=30'}, None), ({"x-rate-limit-reset": "30"}, 30), ({"x-retry-after": "9"}, 9),
        ({"retry-after": "60 seconds"}, 60), ({"retry-after": "PT1M30S"}, 90),
        ({"anthropic-ratelimit-requests-reset": "60", "anthropic-ratelimit-requests-remaining": "0"}, 60),
        ({"retry-after": '"30"'}, 30), ({"retry-after": "00:01:30"}, 90), ({"retry-after": "1:30"}, 90), ({"retry-after": "1:00:00"}, 3600),
        ({"retry-after": time.strftime("%a, %d %b %Y %H:%M:%S", time.gmtime(now + 60))}, 60),
        ({"retry-after": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now + 60))}, 60),
    ]  # fmt: skip
    bodies: list[tuple[Any, float]] = [
        (E("Please try again in 20s."), 20), (E("try again in 1m12.5s"), 72.5), (E("try again in 500ms"), 0.5),
        (E("Please retry after 5 minutes."), 300), (E("Try again in 2h13m"), 7980), (E("Please wait 10 seconds"), 10),
        (E("请在 10 秒后重试"), 10), (E("请在 3 小时后再试"), 10800), (E("1分後に再試行してください"), 60),
        (E("Veuillez réessayer dans 30 secondes"), 30), (E("Bitte versuchen Sie es in 2 Minuten erneut"), 120),
        (E("30초 후에 다시 시도하세요"), 30), (E("Réessayez dans 2 minutes"), 120), (E("available in 15 minutes"), 900),
        (E("Lütfen 30 saniye sonra tekrar deneyin"), 30), (E("Vui lòng thử lại sau 30 giây"), 30),
        (E("Intente de nuevo en 20 segundos"), 20), (E("Повторите через 2 минуты"), 120), ({"retry_after_ms": 1500}, 1.5),
        (E("Usage limit reached for 5 hour. Your limit will reset in 2 hours 5 minutes"), 7500), ({"error": {"details": [{"retryDelay": "31s"}]}}, 31),
        ({"error": {"retry_after": 12}}, 12), ({"retryAfter": "12"}, 12), ({"parameters": {"retry_after": 7}}, 7),
        (E("x", metadata={"headers": {"X-RateLimit-Reset": str(int((now + 30) * 1000))}}), 30),
        (E("x", resets_in_seconds=3600), 3600), (E("x", resets_at=int(now + 1800)), 1800), (E("Retry after: 15"), 15),
        ({"error": "Model x is loading", "estimated_time": 20.0}, 20), (E("retry_delay {\n  seconds: 27\n}"), 27),
        (E("x", details=[{"retryDelay": {"seconds": "12", "nanos": 0}}]), 12), (E("Veuillez patienter 20 secondes."), 20),
        (E(f"Please try again at {moment(now + 120)}Z."), 120), (E(f"Your limit resets on {moment(now + 60)} UTC"), 60),
        (E("Rate limit is exceeded. Try again in 00:01:30."), 90), (E("x", reset=int(now + 90)), 90),
        (E(f"Your access resumes at {moment(now + 90)}Z"), 90),
        (E(f"已达到使用上限。您的限额将在 {moment(now + 3600)}+00:00 重置。"), 3600),
    ]  # fmt: skip
    no_wait = [
        E("Your limit resets at 12:30:00"), E("Rate limit is 60 requests per 60 seconds"), E("limited to 40 API calls / minute. You can continue"),
        E("API version 2023-05-15 has exceeded its limit, retry later"), E("model-4-2024-08-06: try again soon", retries=3),
    ]  # fmt: skip
    found = [(h, E("x"), wait) for h, wait in headers] + [({}, body, wait) for body, wait in bodies]
    return found + [({}, body, None) for body in no_wait]


def moment(at: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at))


@pytest.fixture
def in_japan(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_japan")  # a date without a zone is in UTC, wherever it is read
@pytest.mark.parametrize("place", range(len(waits())))
def test_how_long_an_endpoint_asks_to_wait(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_after, "time", SimpleNamespace(time=lambda: NOW))
    headers, body, expected = waits()[place]
    asked = from_status(429, body, headers, NAMES).retry_after_s
    assert asked is None if expected is None else asked == pytest.approx(expected, abs=2.0)
