-- Counts what crosses Prosody's client connections and serves it as JSON: /counts, /sessions, /accounts.
-- The names of the counts are explained in base.py (Counts).
module:set_global();
module:depends("http");

local array = require "util.array";
local filters = require "util.filters";
local jid = require "util.jid";
local json = require "util.json";
local usermanager = require "core.usermanager";

local counts = { opened = 0, closed = 0, messages_in = 0, messages_out = 0, errors_in = 0, errors_out = 0 };

local function count(name)
	counts[name] = counts[name] + 1;
end

local function count_message(stanza, direction)
	if stanza.name == "message" then
		count((stanza.attr.type == "error" and "errors_" or "messages_") .. direction);
	end
	return stanza;
end

-- Next to the connection: filters run from the highest priority to the lowest, in both directions.
filters.add_filter_hook(function (session)
	if session.type == "c2s" or session.type == "c2s_unauthed" then
		filters.add_filter(session, "stanzas/in", function (stanza) return count_message(stanza, "in"); end, 1000);
		filters.add_filter(session, "stanzas/out", function (stanza) return count_message(stanza, "out"); end, -1000);
	end
end);

function module.add_host(module)
	module:hook("resource-bind", function () count("opened"); end);
	module:hook("resource-unbind", function () count("closed"); end);
end

-- One account a line: its bare JID, a space, its password. Answers with those that were refused.
local function register(event)
	local refused = array();
	for line in event.request.body:gmatch("[^\n]+") do
		local account, password = line:match("^(%S+) (.*)$");
		local user, host = jid.split(account);
		if usermanager.user_exists(user, host) or not usermanager.create_user(user, password, host) then
			refused:push(line);
		end
	end
	return json.encode(refused);
end

local function sessions()
	local list = array();
	for full_jid in pairs(prosody.full_sessions) do list:push(full_jid); end
	return json.encode(list);
end

local function accounts()
	local list = array();
	for user in usermanager.users("scram.local") do list:push(user .. "@scram.local"); end
	return json.encode(list);
end

module:provides("http", {
	default_path = "/amoc";
	route = {
		["GET /counts"] = function () return json.encode(counts); end;
		["GET /sessions"] = sessions;
		["GET /accounts"] = accounts;
		["POST /accounts"] = register;
	};
});
