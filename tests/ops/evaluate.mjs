// What CEL expressions say of requests, as the API server asks them: with optional types, variables without a declared type.
//
// usage: node evaluate.mjs CEL_JS_FOLDER <INPUT
// INPUT is {"expressions": [text], "requests": [{variable: value}]}; prints an array for each request, of each expression's true, false
// or the text of its error.
import fs from 'fs';
import path from 'path';
import url from 'url';

const {Environment} = await import(url.pathToFileURL(path.resolve(process.argv[2], 'lib/index.js')));
const environment = new Environment({enableOptionalTypes: true, unlistedVariablesAreDyn: true});
const {expressions, requests} = JSON.parse(fs.readFileSync(0));

function evaluate(expression, variables) {
  try {
    return environment.evaluate(expression, variables);
  } catch (error) {
    return error.message;
  }
}

console.log(JSON.stringify(requests.map(variables => expressions.map(expression => evaluate(expression, variables)))));
